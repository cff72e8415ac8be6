package names

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/goipns/ipns"
)

// watchBuffer is how many changes wait for one who watches.
const watchBuffer = 1024

// ErrBehind ends a Watch whose reader was too slow: changes were lost, read
// everything again.
var ErrBehind = errors.New("too slow: changes were lost")

// Subscribe has f called for every change, after it is durable and before the
// call that made it returns: after a publish nobody who asks a subscriber gets
// the old value. f must be quick, must not call the Book, and is called by one
// goroutine at a time. After stop has returned, f is called no more.
func (b *Book) Subscribe(f func(Change)) (stop func()) { return b.watchers.add(f) }

// Watch yields the changes of the given names, of all if there are none, that
// happen after it was called. It waits for more until ctx ends. A reader that
// falls behind by more than a thousand changes gets ErrBehind at the end.
//
// The iteration must be begun, or ctx ended, for its buffer to be freed.
func (b *Book) Watch(ctx context.Context, names ...ipns.Name) iter.Seq2[Change, error] {
	q := &queue{more: make(chan struct{}, 1)}
	if len(names) > 0 {
		q.only = make(map[ipns.Name]bool, len(names))
		for _, n := range names {
			q.only[n] = true
		}
	}
	stop := b.Subscribe(q.add)
	release := context.AfterFunc(ctx, stop)
	return func(yield func(Change, error) bool) {
		defer stop()
		defer release()
		for {
			list, behind := q.take()
			for _, c := range list {
				if !yield(c, nil) {
					return
				}
			}
			if behind {
				yield(Change{}, ErrBehind)
				return
			}
			select {
			case <-q.more:
			case <-ctx.Done():
				yield(Change{}, ctx.Err())
				return
			}
		}
	}
}

// queue holds the changes that wait for one reader.
type queue struct {
	only map[ipns.Name]bool // nil: all
	more chan struct{}      // has one element when list has some

	mu     sync.Mutex // guards all below
	list   []Change
	behind bool
}

func (q *queue) add(c Change) {
	if q.only != nil && !q.only[c.Entry.Name] {
		return
	}
	q.mu.Lock()
	if len(q.list) < watchBuffer {
		q.list = append(q.list, c)
	} else {
		q.behind = true
	}
	q.mu.Unlock()
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func (q *queue) take() (list []Change, behind bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list, q.list = q.list, nil
	return list, q.behind
}
