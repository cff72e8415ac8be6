package content

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
)

// gcPatience is how long a collection waits for what adds and pins, while nothing new of the kind begins.
const gcPatience = 15 * time.Second

// ErrBusy means that garbage was not collected, since something was added or pinned all the time.
var ErrBusy = errors.New("something is being added or pinned: try again later")

// gate keeps collections of garbage apart from what adds and pins blocks. The zero value is ready to use.
type gate struct {
	mu     sync.Mutex
	holds  int                  // what adds and pins now, but for what is parked
	closed chan struct{}        // not nil: a collection waits or runs; closed at its end
	idle   chan struct{}        // not nil: a collection waits; closed when nothing holds any more
	parked map[*parked]struct{} // what waits in the middle of its work

	pinning sync.Mutex // held while recursive pins are made, or those are removed that only keep values; not under mu
}

// parked is an add that waits for the end of a collection, with the roots that it will still need.
type parked struct{ roots iter.Seq2[cid.Cid, error] }

type holdKey struct{ *gate }

// hold is one call of Hold, in the context that it has returned.
type hold struct{ released bool } // guarded by the gate's mu

// Hold keeps collections of garbage away until release, so that a block stored or found meanwhile is still there when
// it is pinned. Within a hold, one by the returned context begins at once. Otherwise it waits for a collection that runs.
func (s *Store) Hold(ctx context.Context) (_ context.Context, release func(), err error) {
	g := s.gate
	outer, _ := ctx.Value(holdKey{g}).(*hold)
	if !g.join(outer) {
		if err := g.enter(ctx); err != nil {
			return nil, nil, fmt.Errorf("wait for the end of a garbage collection: %w", err)
		}
	}
	h := &hold{}
	return context.WithValue(ctx, holdKey{g}, h), func() { g.release(h) }, nil
}

// join begins a hold within another, unless that was released: a collection may wait, but does not run.
func (g *gate) join(outer *hold) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if outer == nil || outer.released {
		return false
	}
	g.holds++
	return true
}

func (g *gate) release(h *hold) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !h.released {
		h.released = true
		g.leave(nil)
	}
}

func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		closed := g.closed
		if closed == nil {
			g.holds++
			g.mu.Unlock()
			return nil
		}
		g.mu.Unlock()
		select {
		case <-closed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave ends a hold, for good or, with a parked, until the end of a collection. Call with mu held.
func (g *gate) leave(p *parked) {
	if g.holds--; g.holds == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
	if p != nil {
		if g.parked == nil {
			g.parked = map[*parked]struct{}{}
		}
		g.parked[p] = struct{}{}
	}
}

// wanted reports whether a collection waits for those who hold.
func (g *gate) wanted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed != nil
}

// park lets a collection run in the middle of a hold. It keeps the trees of roots, which it may read until park
// returns: so it does not end before the collection, whatever becomes of the caller.
func (g *gate) park(roots iter.Seq2[cid.Cid, error]) {
	p := &parked{roots}
	g.mu.Lock()
	g.leave(p)
	g.mu.Unlock()
	for {
		g.mu.Lock()
		closed := g.closed
		if closed == nil {
			g.holds++
			delete(g.parked, p)
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		<-closed
	}
}

// alone runs f when nothing adds or pins, or is parked. It waits for that, and for another collection.
func (g *gate) alone(ctx context.Context, f func(parked []iter.Seq2[cid.Cid, error]) error) error {
	patience := time.NewTimer(gcPatience)
	defer patience.Stop()
	var closed chan struct{}
	for closed == nil {
		g.mu.Lock()
		other := g.closed
		if other == nil {
			closed = make(chan struct{})
			g.closed = closed
		}
		g.mu.Unlock()
		if other == nil {
			break
		}
		select {
		case <-other:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() {
		g.mu.Lock()
		g.closed, g.idle = nil, nil
		g.mu.Unlock()
		close(closed)
	}()
	g.mu.Lock()
	var idle chan struct{}
	if g.holds > 0 {
		idle = make(chan struct{})
		g.idle = idle
	}
	g.mu.Unlock()
	if idle != nil {
		select {
		case <-idle:
		case <-patience.C:
			return ErrBusy
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g.mu.Lock()
	var roots []iter.Seq2[cid.Cid, error]
	for p := range g.parked {
		roots = append(roots, p.roots)
	}
	g.mu.Unlock()
	return f(roots)
}
