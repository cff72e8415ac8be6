package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// Sectors of the key space, each with one holder: those by which names are republished.
const (
	sectorBits = 6
	Sectors    = 1 << sectorBits
)

// regionOf returns the region that a sector is.
func regionOf(sector int) recordstore.Region {
	return keyspace.RegionOf(keyspace.Key{byte(sector) << (8 - sectorBits)}, sectorBits)
}

// sectorOf returns the sector that a region is; false: it is none.
func sectorOf(r recordstore.Region) (int, bool) {
	return int(r.Prefix[0] >> (8 - sectorBits)), r.Bits == sectorBits
}

// sectors are the leases of this daemon. Only what reads the clock may say that one is held:
// timers fire late after the process was stopped.
type sectors struct {
	clock func() time.Duration
	news  chan struct{} // holds one element after a lease was given or extended

	mu      sync.Mutex // guards all below
	held    [Sectors]sector
	changed []chan struct{} // each holds one element after a sector was gained or lost
}

// sector is what this daemon has of a sector.
type sector struct {
	lease recordstore.Lease // zero: not held
	end   time.Duration     // of the lease, by the clock
	work  map[*work]struct{}
}

// work is what goes on under a lease.
type work struct {
	cancel context.CancelCauseFunc
	over   chan struct{}
}

func newSectors(clock func() time.Duration) *sectors {
	return &sectors{clock: clock, news: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Held returns the lease of a sector, if this daemon has it now.
func (s *sectors) Held(r recordstore.Region) (recordstore.Lease, bool) {
	i, ok := sectorOf(r)
	if !ok {
		return recordstore.Lease{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.held[i].lease; l.Epoch != 0 && s.clock() < s.held[i].end {
		return l, true
	}
	return recordstore.Lease{}, false
}

// Holds reports whether this daemon has the sector of a name now.
func (s *sectors) Holds(name ipns.Name) bool { return s.HoldsKey(name.Kad()) }

// HoldsKey reports whether this daemon has the sector of a key now.
func (s *sectors) HoldsKey(k [32]byte) bool {
	_, ok := s.Held(keyspace.RegionOf(k, sectorBits))
	return ok
}

// Leases returns the leases that this daemon has now, by sector.
func (s *sectors) Leases() map[int]recordstore.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, now := make(map[int]recordstore.Lease), s.clock()
	for i, h := range s.held {
		if h.lease.Epoch != 0 && now < h.end {
			list[i] = h.lease
		}
	}
	return list
}

// Changed returns a channel of its own that receives a value after sectors were gained or
// lost. It is for what lives as long as the daemon.
func (s *sectors) Changed() <-chan struct{} {
	c := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = append(s.changed, c)
	return c
}

// tell says that sectors were gained or lost. Call with mu held.
func (s *sectors) tell() {
	for _, c := range s.changed {
		signal(c)
	}
}

// Under returns a context for work in a sector. It ends with the lease, and routers ask
// whether that is held before they begin anything. done must be called when the work is
// over: a sector is not given to another daemon before that, within limits.
func (s *sectors) Under(ctx context.Context, r recordstore.Region) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &work{cancel: cancel, over: make(chan struct{})}
	lease, ok := s.Held(r)
	if !ok {
		cancel(recordstore.ErrLease)
		return ctx, func() {}
	}
	i, _ := sectorOf(r)
	s.mu.Lock()
	if s.held[i].lease != lease {
		cancel(recordstore.ErrLease)
	}
	if s.held[i].work == nil {
		s.held[i].work = make(map[*work]struct{})
	}
	s.held[i].work[w] = struct{}{}
	s.mu.Unlock()
	ctx = routing.While(ctx, func() bool { now, ok := s.Held(r); return ok && now == lease })
	return ctx, sync.OnceFunc(func() {
		cancel(nil)
		s.mu.Lock()
		delete(s.held[i].work, w)
		s.mu.Unlock()
		close(w.over)
	})
}

// given notes leases that were given for ttl from a time before they were asked for.
func (s *sectors) given(leases []recordstore.Lease, before, ttl time.Duration) {
	s.mu.Lock()
	gained := false
	for _, l := range leases {
		i, ok := sectorOf(l.Region)
		if !ok {
			continue
		}
		h := &s.held[i]
		if h.lease != l {
			s.end(h)
			h.lease, gained = l, true
		}
		h.end = max(h.end, before+ttl-ttl/drift)
	}
	if gained {
		s.tell()
	}
	s.mu.Unlock()
	signal(s.news)
}

// drift is how much slower the clock of this machine may run than that of the store: by a
// fiftieth.
const drift = 50

// end ends what goes on under a lease. Call with mu held.
func (s *sectors) end(h *sector) {
	for w := range h.work {
		w.cancel(recordstore.ErrLease)
	}
	h.lease, h.end = recordstore.Lease{}, 0
}

// drop gives up sectors here, and returns what still goes on in them.
func (s *sectors) drop(list []int) (leases []recordstore.Lease, running []*work) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range list {
		h := &s.held[i]
		if h.lease.Epoch == 0 {
			continue
		}
		leases = append(leases, h.lease)
		for w := range h.work {
			running = append(running, w)
		}
		s.end(h)
	}
	if len(leases) > 0 {
		s.tell()
	}
	return leases, running
}

// list returns the sectors that are held now, those without work first.
func (s *sectors) list() (held []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	for i := range s.held {
		if h := &s.held[i]; h.lease.Epoch != 0 && now < h.end {
			held = append(held, i)
		}
	}
	slices.SortStableFunc(held, func(a, b int) int { return len(s.held[a].work) - len(s.held[b].work) })
	return held
}

// endOld ends what goes on under leases that have ended, and returns when the next one does;
// 0: there is none.
func (s *sectors) endOld() (now, first time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = s.clock()
	lost := false
	for i := range s.held {
		switch h := &s.held[i]; {
		case h.lease.Epoch == 0:
		case now >= h.end:
			s.end(h)
			lost = true
		case first == 0 || h.end < first:
			first = h.end
		}
	}
	if lost {
		s.tell()
	}
	return now, first
}

// watch ends what goes on under a lease when that ends, until ctx does: the store may not
// answer then.
func (s *sectors) watch(ctx context.Context) {
	for {
		now, first := s.endOld()
		wait := time.Hour
		if first != 0 {
			wait = max(first-now, 0)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.news:
			timer.Stop()
		case <-timer.C:
		}
	}
}
