package pebble

import (
	"context"
	"sync"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// nameLocks serializes the swaps of each name, and remembers for readers what
// was stored before a swap that is not durable yet.
type nameLocks struct {
	mu   sync.Mutex // guards all below, is never held while waiting
	held map[ipns.Name]*nameLock
}

type nameLock struct {
	turn    chan struct{} // has an element while somebody holds the lock
	users   int           // who hold it or wait for it
	pending bool          // a swap is visible to Pebble's readers and may not be durable
	old     recordstore.Entry
}

// lock waits for its turn until ctx ends or the disk is full.
func (n *nameLocks) lock(ctx context.Context, name ipns.Name, full <-chan struct{}) (*nameLock, error) {
	n.mu.Lock()
	l := n.held[name]
	if l == nil {
		l = &nameLock{turn: make(chan struct{}, 1)}
		if n.held == nil {
			n.held = make(map[ipns.Name]*nameLock)
		}
		n.held[name] = l
	}
	l.users++
	n.mu.Unlock()
	select {
	case l.turn <- struct{}{}:
		return l, nil
	case <-ctx.Done():
		n.leave(name, l)
		return nil, ctx.Err()
	case <-full:
		n.leave(name, l)
		return nil, recordstore.ErrFull
	}
}

func (n *nameLocks) unlock(name ipns.Name, l *nameLock) {
	<-l.turn
	n.leave(name, l)
}

func (n *nameLocks) leave(name ipns.Name, l *nameLock) {
	n.mu.Lock()
	defer n.mu.Unlock()
	// A lock whose swap ended in doubt stays: readers go on getting what was
	// durable before it.
	if l.users--; l.users == 0 && !l.pending {
		delete(n.held, name)
	}
}

// hold has readers get old until release.
func (n *nameLocks) hold(l *nameLock, old recordstore.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.pending, l.old = true, old
}

func (n *nameLocks) release(l *nameLock) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.pending, l.old = false, recordstore.Entry{}
}

// before returns what readers get instead of the entry that Pebble shows.
func (n *nameLocks) before(name ipns.Name) (recordstore.Entry, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.held[name]; l != nil && l.pending {
		return l.old, true
	}
	return recordstore.Entry{}, false
}
