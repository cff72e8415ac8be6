package recordstore

import (
	"context"
	"iter"
	"sync"
)

// feedLength is how many changes a Feed keeps for those who read it.
const feedLength = 4096

// Feed is the Changes of a store that only one process uses: the last changes
// in a ring, read by any number of iterators, which never hold up a writer.
// The zero Feed is ready.
type Feed struct {
	mu     sync.Mutex // guards all below
	ring   []Change   // the change at position p lies at (p-1) % feedLength
	last   uint64     // position of the newest
	more   chan struct{}
	closed bool
}

// Tell adds a change.
func (f *Feed) Tell(e Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	c := Change{Position: f.last, Entry: e}
	if len(f.ring) < feedLength {
		f.ring = append(f.ring, c)
	} else {
		f.ring[(f.last-1)%feedLength] = c
	}
	f.wake()
}

// Close ends all iterations.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.wake()
}

// wake makes those who wait look again. Call with mu held.
func (f *Feed) wake() {
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
}

// Since is the Changes of the store.
func (f *Feed) Since(ctx context.Context, since uint64) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if since == 0 {
			f.mu.Lock()
			since = f.last
			f.mu.Unlock()
		}
		for {
			c, wait, err := f.next(since)
			switch {
			case err != nil:
				yield(Change{}, err)
				return
			case wait != nil:
				select {
				case <-wait:
				case <-ctx.Done():
					yield(Change{}, ctx.Err())
					return
				}
			default:
				if !yield(c, nil) {
					return
				}
				since = c.Position
			}
		}
	}
}

// next returns the change after since, or a channel that closes when there may
// be one.
func (f *Feed) next(since uint64) (Change, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return Change{}, nil, ErrClosed
	case since > f.last:
		return Change{}, nil, ErrGap // a position of another life of the store
	case since == f.last:
		if f.more == nil {
			f.more = make(chan struct{})
		}
		return Change{}, f.more, nil
	case f.last-since > uint64(len(f.ring)):
		return Change{}, nil, ErrGap
	}
	return f.ring[since%feedLength], nil, nil
}
