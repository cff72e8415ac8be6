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
	// maxUnpumped bounds the names that were swapped here and that the pump has not
	// reached yet. Beyond it, subscribers get the same change twice.
	maxUnpumped = 16_384
	pumpPause   = time.Second // before the pump reads again after an error
)

// Subscribe calls f for every change once it is durable and, if this Book made it,
// before the call that made it returns: after a publish, no subscriber still serves
// the old value. While Run is running, f is also called for changes that reach the
// store in another way: from another process, or late, from a write whose outcome was
// unknown.
//
// Of concurrent changes f may get only the newest; it never gets an older change
// after a newer one, but may get the same change twice. f must be quick, must not
// call the Book, and is called by one goroutine at a time. It is not called after
// stop has returned.
func (b *Book) Subscribe(f func(Change)) (stop func()) { return b.watchers.add(f) }

// pump notifies subscribers of changes that others make to the store, until ctx ends
// or the store is closed.
func (b *Book) pump(ctx context.Context) {
	defer b.watchers.pump(false)
	defer b.reached.end()
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

// pumpFrom passes on the changes after a position and advances it. If changes were
// missed, it passes on all names first.
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
		} else if err := b.pass(ctx, c.Entry); err != nil {
			return err
		}
		*since = c.Position
		b.reached.tell(c.Position)
	}
	return nil
}

// Lag returns after what time the changes of the store had the newest swap of this Book that
// came there; 0: none has. Those of other processes take as long.
func (b *Book) Lag() time.Duration {
	b.watchers.mu.Lock()
	defer b.watchers.mu.Unlock()
	return b.watchers.lag
}

func (b *Book) passAll(ctx context.Context, missed bool) error {
	if !missed {
		return nil
	}
	for e, err := range b.Store.Scan(ctx, recordstore.Region{}) {
		if err == nil {
			err = b.pass(ctx, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pass passes on an entry as it was read, or if this Book may have passed on a newer one
// meanwhile, as it is stored now.
func (b *Book) pass(ctx context.Context, e recordstore.Entry) (err error) {
	name := e.Name
	defer b.watchers.begin(name)()
	if b.watchers.passed(e, false) {
		return nil
	}
	e, err = b.Store.Get(ctx, name)
	if errors.Is(err, recordstore.ErrNotFound) {
		e, err = recordstore.Entry{Name: name}, nil
	}
	if err == nil {
		b.watchers.passed(e, true)
	}
	return err
}

// watchers are the subscribers, and what they were told last.
type watchers struct {
	mu      sync.Mutex // guards all below
	last    uint64
	list    map[uint64]func(Change)
	names   map[ipns.Name]*told
	pumping bool
	lag     time.Duration
	// dropped says that more names were swapped here than are kept for the pump: what it has
	// read may be older than what was told.
	dropped bool
}

// told is what subscribers last got about a name whose entry is being changed, or was
// changed here and not yet reached by the pump. Concurrent changes become durable in
// one order and may be passed on in another.
type told struct {
	users   int
	mark    recordstore.Mark // of the change passed on last
	version uint64
	ours    uint64    // version of the last swap by this Book
	pumped  uint64    // version that the pump read last
	at      time.Time // of the last swap by this Book that the pump has not read; zero: it has
}

// begin must be called before a name is changed; end after subscribers were notified.
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
		if t.users > 0 {
			return
		}
		reached := t.ours <= t.pumped || !w.pumping
		if reached || len(w.names) > maxUnpumped {
			w.dropped = w.dropped || !reached
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

// pump sets whether the pump is running. Without it, no name is kept for the pump.
func (w *watchers) pump(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pumping, w.dropped = on, false
	if on {
		return
	}
	for name, t := range w.names {
		if t.users == 0 {
			delete(w.names, name)
		}
	}
}

// swapped passes on a swap by this Book if it has an Outcome.
func (w *watchers) swapped(c Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.names[c.Entry.Name]
	if c.Entry.Version == 0 { // forgotten: versions start again at 1
		*t = told{users: t.users}
		return
	}
	t.ours, t.at = max(t.ours, c.Entry.Version), time.Now()
	if c.Outcome != 0 {
		w.notify(t, c)
	}
}

// seen passes on the new mark of a seen name.
func (w *watchers) seen(c Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notify(w.names[c.Entry.Name], c)
}

// passed passes on an entry that the pump read, unless this Book swapped it or
// subscribers already got it. current says that it was read after begin. Without that, it is
// not passed on if it may be older than what subscribers got.
func (w *watchers) passed(e recordstore.Entry, current bool) (ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.names[e.Name]
	// Others' swaps come in their order. Our own were told before the pump reads them; of
	// those that it has not reached yet, ours is kept.
	if !current && (w.dropped || e.Version < t.ours) {
		return false
	}
	if e.Version == 0 {
		t.pumped = t.ours // forgotten: nothing to wait for
		return true
	}
	t.pumped = max(t.pumped, e.Version)
	if t.pumped >= t.ours && !t.at.IsZero() {
		w.lag, t.at = time.Since(t.at), time.Time{}
	}
	newer := e.Version > t.ours && e.Version > t.version
	if e.Version < t.ours { // read before our swap, or forgotten elsewhere and created again
		t.pumped = t.ours
		newer = e.Mark.Compare(t.mark) > 0
	}
	if newer {
		w.notify(t, Change{Outcome: New, Entry: e})
	}
	return true
}

// notify calls the subscribers, unless they already got a newer change of the name.
// Call with mu held.
func (w *watchers) notify(t *told, c Change) {
	if d := c.Entry.Mark.Compare(t.mark); d < 0 || d == 0 && c.Entry.Version < t.version {
		return
	}
	// The pump can read our swap before it is passed on here. Only a rival is worth telling
	// twice: the pump does not know of it.
	if v := c.Entry.Version; v > 0 && v == t.version && c.Entry.Mark == t.mark && c.Rival == nil {
		return
	}
	t.mark, t.version = c.Entry.Mark, c.Entry.Version
	for _, f := range w.list {
		f(c)
	}
}
