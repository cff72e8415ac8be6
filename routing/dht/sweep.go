package dht

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
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

	// sweepParallel is the default number of servers that a sweep visits at once.
	sweepParallel = 64

	// sweepRounds bounds how often a batch is planned. Later rounds replace dead
	// servers and visit those found meanwhile.
	sweepRounds = 50

	// paceStep is how soon a sweep notices a new pace.
	paceStep = time.Second

	// regroup is how long a sweep collects failed late visits before it plans their
	// replacements.
	regroup = time.Second

	// A visit is late after lateAfter. It then frees its slot and continues in the
	// background, where lateShare times as many visits may run as there are slots.
	lateAfter = 2 * time.Second
	lateShare = 4

	// putPerServers: putting one record by itself costs about as much as exploring
	// this many servers.
	putPerServers = 128

	// exploreAge is how long a region counts as explored. Visited servers name those
	// that have joined since.
	exploreAge = 24 * time.Hour

	// If fewer than the share thin of a region's expected servers are known, it is
	// explored again after thinAge. Not sooner, since the reason may be a wrong
	// estimate of the network size and not an outage.
	thin    = 0.6
	thinAge = 30 * time.Minute

	// maxExplored bounds how many explored regions are remembered.
	maxExplored = 4096
)

var _ routing.Sweeper = (*Router)(nil)

// Sweep puts the records with one visit to each server that should hold any of them.
// It first explores the region, unless that was done within a day and enough servers
// are known. Then it sends each record to the 20 servers closest to it. It also queries
// each server for its neighbours, and includes new servers found that way. Servers that
// fail are replaced by the next closest; slow servers do not delay the others.
//
// It holds at most about 130,000 records at a time and reads more when those are done.
// If there are only a few records and the region is unexplored, it puts them one by one.
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
			if len(batch) <= r.fewRecords(region) && !r.explored(region) {
				put = r.putEach
			}
			if err := put(ctx, region, batch, yield); err != nil {
				if !errors.Is(err, errStopped) {
					yield(routing.Ack{}, fmt.Errorf("sweeping region %v: %w", region, err))
				}
				return
			}
		}
	}
}

// take reads up to n elements.
func take[T any](next func() (T, bool), n int) (batch []T) {
	for len(batch) < n {
		one, ok := next()
		if !ok {
			break
		}
		batch = append(batch, one)
	}
	return batch
}

// putEach puts records one by one.
func (r *Router) putEach(ctx context.Context, _ keyspace.Region, batch []*ipns.Record, yield func(routing.Ack, error) bool) error {
	for _, rec := range batch {
		for ack, err := range r.Put(ctx, rec, routing.Look{}) {
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
	items, err := newItems(batch)
	if err != nil {
		return err
	}
	return r.newSweep(ctx, items, replicas).run(yield)
}

// run makes the visits, then ends the sweep.
func (s *sweep) run(yield func(routing.Ack, error) bool) error {
	defer s.end()
	for round := range sweepRounds {
		visits := s.plan(s.ctx)
		if len(visits) == 0 && round == 0 {
			return s.r.nobody()
		}
		if len(visits) == 0 && s.inFlight == 0 {
			break
		}
		s.launch(visits)
		if err := s.collect(round == sweepRounds-1, yield); err != nil {
			return err
		}
	}
	return nil
}

// sweep is one batch in progress. Apart from the channels, it belongs to the goroutine
// that runs it; visits only read the records and frames of the items.
type sweep struct {
	r      *Router
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	items   []item
	copies  int // servers per item
	targets map[peer.ID]*target
	todo    []int // items that a server did not take since the last plan
	known   int   // servers in the map at the last plan that considered all items
	of      int   // servers available per item, at most copies

	slots    chan struct{}   // one per visit that holds back other visits
	behind   chan struct{}   // one per late visit, which does not
	late     chan *visit     // visits that have become late
	done     chan *visit     // visits that have ended
	busy     map[*visit]bool // visits neither late nor done
	inFlight int             // visits that are not done
}

func (r *Router) newSweep(ctx context.Context, items []item, copies int) *sweep {
	ctx, cancel := context.WithCancel(ctx)
	return &sweep{
		r: r, ctx: ctx, cancel: cancel, items: items, copies: copies, targets: make(map[peer.ID]*target),
		slots: make(chan struct{}, r.visits), behind: make(chan struct{}, lateShare*r.visits),
		late: make(chan *visit), done: make(chan *visit), busy: make(map[*visit]bool),
	}
}

// end ends all visits and waits for them.
func (s *sweep) end() {
	s.cancel()
	s.wg.Wait()
}

// launch starts the visits as slots become free.
func (s *sweep) launch(visits []*visit) {
	s.inFlight += len(visits)
	for _, v := range visits {
		s.busy[v] = true
	}
	s.wg.Go(func() {
		for _, v := range visits {
			select {
			case s.slots <- struct{}{}:
				if routing.Allowed(s.ctx) != nil { // it is not begun
					<-s.slots
					s.cancel()
					return
				}
				s.wg.Go(func() { s.make(v) })
			case <-s.ctx.Done():
				return
			}
			if !s.pause(len(v.items)) {
				return
			}
		}
	})
}

// pause waits after the start of a visit with so many records until the pace allows the
// next visit. It returns false when the sweep is over.
func (s *sweep) pause(records int) bool {
	begin := time.Now()
	for {
		pace := math.Float64frombits(s.r.pace.Load())
		if pace <= 0 {
			return true
		}
		left := time.Duration(float64(records)/pace*float64(time.Second)) - time.Since(begin)
		if left <= 0 {
			return true
		}
		t := time.NewTimer(min(left, paceStep))
		select {
		case <-t.C:
		case <-s.ctx.Done():
			t.Stop()
			return false
		}
	}
}

// Pace implements [routing.Sweeper].
func (r *Router) Pace(perSecond float64) { r.pace.Store(math.Float64bits(perSecond)) }

// make makes one visit, which holds a slot until it is late or done.
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
	s.r.visit(s.ctx, v, s.items)
	close(ended)
	s.send(s.done, v)
}

func (s *sweep) send(to chan<- *visit, v *visit) {
	select {
	case to <- v:
	case <-s.ctx.Done():
	}
}

// collect reports visits as they end. It returns when only late visits are left and
// another plan may have visits or, if all is set, when no visit is left.
func (s *sweep) collect(all bool, yield func(routing.Ack, error) bool) error {
	var enough <-chan time.Time
	for len(s.busy) > 0 || s.inFlight > 0 {
		if len(s.busy) == 0 && !all && enough == nil && s.unsettled() {
			t := time.NewTimer(regroup)
			defer t.Stop()
			enough = t.C
		}
		select {
		case v := <-s.late:
			delete(s.busy, v)
		case v := <-s.done:
			delete(s.busy, v)
			s.inFlight--
			if !s.report(v, yield) {
				return errStopped
			}
		case <-enough:
			return nil
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
	return nil
}

// expected estimates how many servers a region has; ok is false if that is unknown.
func (r *Router) expected(region keyspace.Region) (servers float64, ok bool) {
	size, ok := r.size()
	return math.Ldexp(size, -region.Bits), ok
}

// fewRecords returns the number of records up to which it is cheaper to put them one by
// one than to explore the region.
func (r *Router) fewRecords(region keyspace.Region) int {
	servers, _ := r.expected(region)
	return int(servers / putPerServers)
}

// explored reports whether the region, or one that contains it, was explored within
// exploreAge, or within thinAge if too few of its servers are known.
func (r *Router) explored(region keyspace.Region) bool {
	age := exploreAge
	known := len(r.servers.within(region, time.Now()))
	if servers, ok := r.expected(region); ok && float64(known) < thin*servers {
		age = thinAge
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for bits := region.Bits; bits >= 0; bits-- {
		at, ok := r.exploredAt[keyspace.RegionOf(region.Prefix, bits)]
		if ok && time.Since(at) < age {
			return true
		}
	}
	return false
}

// exploreOnce explores the region unless it is already explored.
func (r *Router) exploreOnce(ctx context.Context, region keyspace.Region) error {
	if r.explored(region) {
		return nil
	}
	if _, err := r.Explore(ctx, region, r.visits); err != nil {
		return err
	}
	if r.servers.Len() == 0 {
		return nil // this node has no network yet
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.exploredAt) >= maxExplored {
		clear(r.exploredAt)
	}
	r.exploredAt[region] = time.Now()
	return nil
}
