package dht

import (
	"context"
	"fmt"
	"iter"
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

	// sweepPasses is how often a batch is looked at again: who is still to be
	// visited, because they were slow, take the place of the dead, or have been
	// named only now.
	sweepPasses = 5

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
// theirs. Servers that fail are replaced by the next closest; those that are slow
// are visited again when all others have been.
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
	s := &sweep{r: r, records: batch, tried: make([][]peer.ID, len(batch)), slow: make(map[peer.ID]bool)}
	for pass := range sweepPasses {
		visits := s.plan()
		if len(visits) == 0 {
			if pass == 0 {
				return routing.ErrNoTargets
			}
			return nil
		}
		if err := s.pass(ctx, visits, pass, yield); err != nil {
			return err
		}
	}
	return nil
}

// sweep is one batch under way. Its fields belong to the goroutine that runs the
// sweep; the visits only read the records.
type sweep struct {
	r       *Router
	records []*ipns.Record
	tried   [][]peer.ID      // for each record, who was given it or failed
	slow    map[peer.ID]bool // servers that were late in a pass: they get more time
}

// plan lists the visits that are to be made: each server with the records that
// it should have and was not given, in the order of the key space.
func (s *sweep) plan() []*visit {
	now := time.Now()
	byServer := make(map[peer.ID]*visit)
	var visits []*visit
	for i, rec := range s.records {
		for _, c := range s.r.servers.closest(rec.Name().Kad(), replicas, now) {
			if contains(s.tried[i], c.id) {
				continue
			}
			s.tried[i] = append(s.tried[i], c.id)
			v := byServer[c.id]
			if v == nil {
				v = &visit{server: c.id, patience: s.patience(c)}
				byServer[c.id] = v
				visits = append(visits, v)
			}
			v.records = append(v.records, i)
		}
	}
	return visits
}

func contains(ids []peer.ID, id peer.ID) bool {
	for _, other := range ids {
		if other == id {
			return true
		}
	}
	return false
}

// patience is how long a server is waited for: not long at first, so that slow
// ones do not hold up the rest, and long when it is visited again.
func (s *sweep) patience(c contact) time.Duration {
	if s.slow[c.id] {
		return putTimeout
	}
	return visitPatience
}

// pass makes the visits, a number at a time, and tells of each record and server.
func (s *sweep) pass(ctx context.Context, visits []*visit, pass int, yield func(routing.Ack, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	todo := make(chan *visit)
	done := make(chan *visit)
	for range min(s.r.visits, len(visits)) {
		wg.Go(func() {
			for v := range todo {
				s.r.visit(ctx, v, s.records)
				select {
				case done <- v:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	wg.Go(func() {
		defer close(todo)
		for _, v := range visits {
			select {
			case todo <- v:
			case <-ctx.Done():
				return
			}
		}
	})
	for range visits {
		select {
		case v := <-done:
			if !s.report(v, pass == sweepPasses-1, yield) {
				return errStopped
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// report tells what became of the records at one server, unless it was late and
// is visited again.
func (s *sweep) report(v *visit, last bool, yield func(routing.Ack, error) bool) bool {
	if v.late && !s.slow[v.server] && !last {
		s.slow[v.server] = true
		for _, i := range v.records[v.offered:] {
			s.tried[i] = without(s.tried[i], v.server)
		}
		v.records = v.records[:v.offered]
	}
	for at, i := range v.records {
		o := v.outcome(at)
		ack := routing.Ack{
			Name: s.records[i].Name(), Target: v.name, Network: s.r.network,
			Err: o.err, Newer: o.newer, RTT: o.rtt, Of: replicas,
		}
		if !yield(ack, nil) {
			return false
		}
	}
	return true
}

// without removes an id from a list that it changes.
func without(ids []peer.ID, id peer.ID) []peer.ID {
	for i, other := range ids {
		if other == id {
			ids[i] = ids[len(ids)-1]
			return ids[:len(ids)-1]
		}
	}
	return ids
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
