package names

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// watchBuffer is how many changes wait for one who watches.
const watchBuffer = 1024

// ErrBehind ends a Watch whose reader was too slow: changes were lost, read
// everything again.
var ErrBehind = errors.New("too slow: changes were lost")

// Subscribe has f called for every change, after it is durable and before the
// call that made it returns: after a publish nobody who asks a subscriber gets
// the old value. Of changes that happen at the same time, f may be told of the
// newest only; it is never told of an older one after it. f must be quick, must not call the Book, and is called by one
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

// watchers are told of every change.
type watchers struct {
	mu      sync.Mutex // guards all below
	last    uint64
	list    map[uint64]func(Change)
	flights map[ipns.Name]*flight
}

// flight is a name whose entry is being changed, by one or by several at once.
// Their changes are durable in one order and may come to be told in another.
type flight struct {
	users   int
	mark    recordstore.Mark // of what was told last
	version uint64
}

// begin announces a change of the name; end must be called after it was told.
func (w *watchers) begin(name ipns.Name) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.flights == nil {
		w.flights = make(map[ipns.Name]*flight)
	}
	f := w.flights[name]
	if f == nil {
		f = &flight{}
		w.flights[name] = f
	}
	f.users++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if f.users--; f.users == 0 {
			delete(w.flights, name)
		}
	}
}

func (w *watchers) add(f func(Change)) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		w.list = make(map[uint64]func(Change))
	}
	w.last++
	id := w.last
	w.list[id] = f
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.list, id)
	}
}

// tell passes on a change, unless a newer one of the name was told already.
func (w *watchers) tell(c Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.flights[c.Entry.Name]
	if d := c.Entry.Mark.Compare(f.mark); d < 0 || d == 0 && c.Entry.Version < f.version {
		return
	}
	f.mark, f.version = c.Entry.Mark, c.Entry.Version
	for _, tell := range w.list {
		tell(c)
	}
}
