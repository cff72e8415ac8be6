package pebble

import (
	"context"
	"sync"

	"github.com/goipns/ipns/recordstore"
)

// locks serializes the swaps of each key, and remembers for readers what was stored
// before a swap that is not durable yet.
type locks[K comparable, V any] struct {
	mu   sync.Mutex // guards the fields below; never held while waiting
	held map[K]*lock[V]
}

type lock[V any] struct {
	turn    chan struct{} // holds one element while the lock is held
	users   int           // callers that hold it or wait for it
	pending bool          // a swap is visible to Pebble's readers and may not be durable
	old     V
}

// lock waits for its turn until ctx ends or the disk is full.
func (n *locks[K, V]) lock(ctx context.Context, key K, full <-chan struct{}) (*lock[V], error) {
	n.mu.Lock()
	l := n.held[key]
	if l == nil {
		l = &lock[V]{turn: make(chan struct{}, 1)}
		if n.held == nil {
			n.held = make(map[K]*lock[V])
		}
		n.held[key] = l
	}
	l.users++
	n.mu.Unlock()
	select {
	case l.turn <- struct{}{}:
		return l, nil
	case <-ctx.Done():
		n.leave(key, l)
		return nil, ctx.Err()
	case <-full:
		n.leave(key, l)
		return nil, recordstore.ErrFull
	}
}

func (n *locks[K, V]) unlock(key K, l *lock[V]) {
	<-l.turn
	n.leave(key, l)
}

func (n *locks[K, V]) leave(key K, l *lock[V]) {
	n.mu.Lock()
	defer n.mu.Unlock()
	// A lock whose swap ended in doubt stays: readers go on getting what was
	// durable before it.
	if l.users--; l.users == 0 && !l.pending {
		delete(n.held, key)
	}
}

// hold has readers get old until release.
func (n *locks[K, V]) hold(l *lock[V], old V) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.pending, l.old = true, old
}

func (n *locks[K, V]) release(l *lock[V]) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var none V
	l.pending, l.old = false, none
}

// before returns what readers get instead of the value that Pebble shows.
func (n *locks[K, V]) before(key K) (old V, pending bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.held[key]; l != nil && l.pending {
		return l.old, true
	}
	return old, false
}
