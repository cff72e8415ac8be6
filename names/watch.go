package names

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

const (
	// maxUnpassed is how many names that were swapped here are remembered until the
	// pump has come by. Of others, subscribers are told twice.
	maxUnpassed = 16_384
	pumpPause   = time.Second // before the pump reads again where it could not
)

// Subscribe has f called for every change, after it is durable and, if it was made
// by this Book, before the call that made it returns: after a publish nobody who asks
// a subscriber gets the old value. While Run is running, f is also told of what
// comes into the store in another way: from another process, or late, when nobody
// waited any more for a write whose outcome was unknown.
//
// Of changes that happen at the same time, f may be told of the newest only; it is
// never told of an older one after it, and may be told of one twice. f must be quick,
// must not call the Book, and is called by one goroutine at a time. After stop has
// returned, f is called no more.
func (b *Book) Subscribe(f func(Change)) (stop func()) { return b.watchers.add(f) }

// pump tells subscribers of what comes into the store past this Book, until ctx ends
// or the store is closed. It tells what Get returns after the name has begun to be
// told: telling what Changes returns would be late for what this Book does meanwhile.
func (b *Book) pump(ctx context.Context) {
	defer b.watchers.pump(false)
	var since recordstore.Position
	missed := false
	for {
		err := b.pumpFrom(ctx, &since, &missed)
		switch {
		case errors.Is(err, recordstore.ErrClosed):
			return
		case errors.Is(err, recordstore.ErrGap):
			since, missed = "", true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pumpPause):
		}
	}
}

// pumpFrom tells of changes after a position, which it moves on, and before that of
// all names if some were missed.
func (b *Book) pumpFrom(ctx context.Context, since *recordstore.Position, missed *bool) error {
	for c, err := range b.Store.Changes(ctx, *since) {
		if err != nil {
			return err
		}
		if c.Entry.Name.IsZero() {
			b.watchers.pump(true)
			if err := b.passAll(ctx, *missed); err != nil {
				return err
			}
			*missed = false
		} else if err := b.pass(ctx, c.Entry.Name); err != nil {
			return err
		}
		*since = c.Position
	}
	return nil
}

func (b *Book) passAll(ctx context.Context, missed bool) error {
	if !missed {
		return nil
	}
	for e, err := range b.Store.Scan(ctx, recordstore.Region{}) {
		if err == nil {
			err = b.pass(ctx, e.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pass tells of a name as it is in the store.
func (b *Book) pass(ctx context.Context, name ipns.Name) error {
	defer b.watchers.begin(name)()
	e, err := b.Store.Get(ctx, name)
	if errors.Is(err, recordstore.ErrNotFound) {
		e, err = recordstore.Entry{Name: name}, nil
	}
	if err == nil {
		b.watchers.passed(e)
	}
	return err
}

// watchers are told of every change.
type watchers struct {
	mu      sync.Mutex // guards all below
	last    uint64
	list    map[uint64]func(Change)
	names   map[ipns.Name]*told
	pumping bool
}

// told is a name whose entry is being changed, by one or by several at once, or was
// changed here since the pump came by. The changes are durable in one order and may
// come to be told in another.
type told struct {
	users   int
	mark    recordstore.Mark // of what was told last
	version uint64
	ours    uint64 // version of the last swap by this Book
	passed  uint64 // version that the pump has read last
}

// begin announces a change of the name; end must be called after it was told.
func (w *watchers) begin(name ipns.Name) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.names == nil {
		w.names = make(map[ipns.Name]*told)
	}
	t := w.names[name]
	if t == nil {
		t = &told{}
		w.names[name] = t
	}
	t.users++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		t.users--
		if t.users == 0 && (t.ours <= t.passed || !w.pumping || len(w.names) > maxUnpassed) {
			delete(w.names, name)
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

// pump says whether there is one from now on. Without it, nothing waits for it.
func (w *watchers) pump(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pumping = on
	if on {
		return
	}
	for name, t := range w.names {
		if t.users == 0 {
			delete(w.names, name)
		}
	}
}

// swapped passes on what this Book has swapped, if it is a change: one with an
// Outcome.
func (w *watchers) swapped(c Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.names[c.Entry.Name]
	if c.Entry.Version == 0 { // is forgotten, and will count from 1 again
		*t = told{users: t.users}
		return
	}
	t.ours = max(t.ours, c.Entry.Version)
	if c.Outcome != 0 {
		w.tell(t, c)
	}
}

// seen passes on a mark.
func (w *watchers) seen(c Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tell(w.names[c.Entry.Name], c)
}

// passed passes on what the pump has read, unless this Book has swapped it or it was
// told already.
func (w *watchers) passed(e recordstore.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.names[e.Name]
	if e.Version == 0 {
		t.passed = t.ours // there is nothing to wait for
		return
	}
	t.passed = max(t.passed, e.Version)
	newer := e.Version > t.ours && e.Version > t.version
	if e.Version < t.ours { // was read before that, or forgotten elsewhere since, and has come again
		t.passed = t.ours
		newer = e.Mark.Compare(t.mark) > 0
	}
	if newer {
		w.tell(t, Change{Outcome: New, Entry: e})
	}
}

// tell passes on a change, unless a newer one of the name was told already. Call with
// mu held.
func (w *watchers) tell(t *told, c Change) {
	if d := c.Entry.Mark.Compare(t.mark); d < 0 || d == 0 && c.Entry.Version < t.version {
		return
	}
	t.mark, t.version = c.Entry.Mark, c.Entry.Version
	for _, tell := range w.list {
		tell(c)
	}
}
