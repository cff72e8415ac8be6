package dht

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing"
)

const (
	// sweepBatch is how many records a sweep holds at a time.
	sweepBatch = 1 << 17

	// sweepParallel is how many servers a sweep visits at once if not told
	// otherwise.
	sweepParallel = 64

	// sweepRounds is how often a batch is looked at: who is to be visited at
	// first, then who takes the place of the dead or has been named only now.
	sweepRounds = 10

	// lateAfter is how long a visit keeps another from being made. It goes on, but
	// only so many of those as lateShare times the visits at once.
	lateAfter = 2 * time.Second
	lateShare = 4

	// fewRecords is how many records are put one by one rather than swept where
	// the network is not known yet: exploring costs as much as some hundred puts.
	fewRecords = 64

	// exploreAge is for how long an explored region needs no exploring again: the
	// servers visited name those that have come since.
	exploreAge = 24 * time.Hour

	// maxExplored bounds the regions that are remembered as explored.
	maxExplored = 4096
)

var _ routing.Sweeper = (*Router)(nil)

// Sweep puts the records with one visit to each server that should hold any of
// them: it explores the region if that was not done within a day, and gives each
// record to the 20 servers closest to it. Each server is asked for its own
// neighbours on the way, and those that nobody had named before get what is
// theirs. Servers that fail are replaced by the next closest; slow ones hold up
// nobody.
//
// A few records of a network that is not known are put one by one.
func (r *Router) Sweep(ctx context.Context, region keyspace.Region, records iter.Seq[*ipns.Record]) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		next, stop := iter.Pull(records)
		defer stop()
		for {
			batch := take(next, sweepBatch)
			if len(batch) == 0 {
				return
			}
			put := r.sweepBatch
			if len(batch) <= fewRecords && !r.explored(region) {
				put = r.putEach
			}
			if err := put(ctx, region, batch, yield); err != nil {
				if err != errStopped {
					yield(routing.Ack{}, fmt.Errorf("sweeping region %v: %w", region, err))
				}
				return
			}
		}
	}
}

// take takes up to n records.
func take(next func() (*ipns.Record, bool), n int) (batch []*ipns.Record) {
	for len(batch) < n {
		rec, ok := next()
		if !ok {
			break
		}
		batch = append(batch, rec)
	}
	return batch
}

// putEach puts a few records, one after the other.
func (r *Router) putEach(ctx context.Context, _ keyspace.Region, batch []*ipns.Record, yield func(routing.Ack, error) bool) error {
	for _, rec := range batch {
		for ack, err := range r.Put(ctx, rec) {
			if err != nil {
				return err
			}
			if !yield(ack, nil) {
				return errStopped
			}
		}
	}
	return nil
}

// sweepBatch puts the records of one batch.
func (r *Router) sweepBatch(ctx context.Context, region keyspace.Region, batch []*ipns.Record, yield func(routing.Ack, error) bool) error {
	if err := r.exploreOnce(ctx, region); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &sweep{
		r: r, ctx: ctx, records: batch, tried: make([][]peer.ID, len(batch)),
		slots: make(chan struct{}, r.visits), behind: make(chan struct{}, lateShare*r.visits),
		late: make(chan *visit), done: make(chan *visit), busy: make(map[*visit]bool),
	}
	defer s.wg.Wait()
	defer cancel()
	for round := range sweepRounds {
		visits := s.plan()
		if len(visits) == 0 && round == 0 {
			return routing.ErrNoTargets
		}
		s.launch(visits)
		if err := s.collect(len(visits) == 0 || round == sweepRounds-1, yield); err != nil {
			return err
		}
		if len(visits) == 0 && s.flying == 0 {
			break
		}
	}
	return nil
}

// sweep is one batch under way. What is not a channel belongs to the goroutine
// that runs the sweep; the visits only read the records.
type sweep struct {
	r       *Router
	ctx     context.Context
	wg      sync.WaitGroup
	records []*ipns.Record
	tried   [][]peer.ID // for each record, who was or is being given it

	slots  chan struct{}   // one for each visit that keeps others from being made
	behind chan struct{}   // one for each visit that does so no more
	late   chan *visit     // visits that begin to be late
	done   chan *visit     // visits that have ended
	busy   map[*visit]bool // neither late nor done
	flying int             // not done
}

// plan lists the visits that are to be made: each server with the records that
// it should have and was not given, in the order of the key space.
func (s *sweep) plan() []*visit {
	now := time.Now()
	byServer := make(map[peer.ID]*visit)
	var visits []*visit
	for i, rec := range s.records {
		for _, c := range s.r.servers.closest(rec.Name().Kad(), replicas, now) {
			if slices.Contains(s.tried[i], c.id) {
				continue
			}
			s.tried[i] = append(s.tried[i], c.id)
			v := byServer[c.id]
			if v == nil {
				v = &visit{server: c.id}
				byServer[c.id] = v
				visits = append(visits, v)
			}
			v.records = append(v.records, i)
		}
	}
	return visits
}

// launch makes the visits, as there is room for them.
func (s *sweep) launch(visits []*visit) {
	s.flying += len(visits)
	for _, v := range visits {
		s.busy[v] = true
	}
	s.wg.Go(func() {
		for _, v := range visits {
			select {
			case s.slots <- struct{}{}:
				s.wg.Go(func() { s.make(v) })
			case <-s.ctx.Done():
				return
			}
		}
	})
}

// make makes one visit, which has a slot until it is late.
func (s *sweep) make(v *visit) {
	ended := make(chan struct{})
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		t := time.NewTimer(lateAfter)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ended:
			return
		}
		select {
		case s.behind <- struct{}{}:
			s.wg.Go(func() { <-ended; <-s.behind })
			s.send(s.late, v)
		case <-ended:
		}
	})
	s.r.visit(s.ctx, v, s.records)
	close(ended)
	s.send(s.done, v)
}

func (s *sweep) send(to chan<- *visit, v *visit) {
	select {
	case to <- v:
	case <-s.ctx.Done():
	}
}

// collect tells of the visits that end, until those that are left are late: or,
// if all is set, until none is left.
func (s *sweep) collect(all bool, yield func(routing.Ack, error) bool) error {
	for len(s.busy) > 0 || all && s.flying > 0 {
		select {
		case v := <-s.late:
			delete(s.busy, v)
		case v := <-s.done:
			delete(s.busy, v)
			s.flying--
			if !s.report(v, yield) {
				return errStopped
			}
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
	return nil
}

// report tells what became of the records at one server.
func (s *sweep) report(v *visit, yield func(routing.Ack, error) bool) bool {
	name := v.server.String()
	for at, i := range v.records {
		o := v.outcome(at)
		ack := routing.Ack{
			Name: s.records[i].Name(), Target: name, Network: s.r.network,
			Err: o.err, Newer: o.newer, RTT: o.rtt, Of: replicas,
		}
		if !yield(ack, nil) {
			return false
		}
	}
	return true
}

// explored reports whether the region, or one that contains it, was explored
// within a day.
func (r *Router) explored(region keyspace.Region) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for bits := region.Bits; bits >= 0; bits-- {
		at, ok := r.exploredAt[keyspace.RegionOf(region.Prefix, bits)]
		if ok && time.Since(at) < exploreAge {
			return true
		}
	}
	return false
}

// exploreOnce explores the region if that was not done within a day.
func (r *Router) exploreOnce(ctx context.Context, region keyspace.Region) error {
	if r.explored(region) {
		return nil
	}
	if _, err := r.Explore(ctx, region, r.visits); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.exploredAt) >= maxExplored {
		clear(r.exploredAt)
	}
	r.exploredAt[region] = time.Now()
	return nil
}
