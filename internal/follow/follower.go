package follow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/watch"
)

const (
	maxFetches   = 4 // at one time
	glance       = 200 * time.Millisecond
	stalled      = 5 * time.Minute // without a block: the fetch is given up, and tried again later
	nobody       = time.Minute     // the same for the first block: what nobody has must not keep others waiting
	firstRetry   = time.Minute     // after the first failure; each further one doubles it
	longestRetry = time.Hour
)

// follower follows one name.
type follower struct {
	all    *Follower
	name   ipns.Name
	cancel context.CancelFunc
	over   chan struct{}

	tooLarge string // what was said of the last value that is too large; run's

	mu       sync.Mutex // guards all below
	fetching string
	err      error
	wake     chan struct{} // closed when the follow was changed; nil: nobody waits
}

func (w *follower) state() (fetching, failure string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		failure = w.err.Error()
	}
	return w.fetching, failure
}

// again has the follower look at its name now.
func (w *follower) again() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wake != nil {
		close(w.wake)
		w.wake = nil
	}
}

func (w *follower) changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wake == nil {
		w.wake = make(chan struct{})
	}
	return w.wake
}

// run follows the name until ctx ends.
func (w *follower) run(ctx context.Context) {
	events := make(chan watch.Event)
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group.Go(func() { w.read(ctx, events) })
	var latest *ipns.Record // as an event had it
	again := time.NewTimer(longestRetry)
	defer again.Stop()
	for tries := 0; ; {
		changed := w.changed()
		err := w.update(ctx, latest)
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		w.fetching, w.err = "", err
		w.mu.Unlock()
		var retry <-chan time.Time
		if err != nil {
			w.all.Log.Warn("the newest value of a name that is followed is not kept", "name", w.name.String(), "err", err)
			again.Reset(min(firstRetry<<min(tries, 10), longestRetry))
			retry = again.C
			tries++
		}
		select {
		case <-ctx.Done():
			return
		case <-retry:
		case <-changed:
			tries = 0
		case e := <-events:
			if e.Kind == watch.Ended {
				w.all.Log.Warn("the record of a name that is followed has expired: its content stays", "name", w.name.String())
			}
			if e.Entry.Record != nil {
				latest, tries = e.Entry.Record, 0
			}
		}
	}
}

// read passes on what is said of the name, until ctx ends.
func (w *follower) read(ctx context.Context, events chan<- watch.Event) {
	for ctx.Err() == nil {
		for e, err := range w.all.Names.Read(ctx, watch.Request{Names: []ipns.Name{w.name}, Caller: "follows", Poll: true}) {
			if err != nil {
				w.all.Log.Debug("following", "name", w.name.String(), "err", err)
				break
			}
			if e.Kind == 0 {
				continue
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(firstRetry):
		}
	}
}

// update keeps the newest record of the name, and what it leads to.
func (w *follower) update(ctx context.Context, latest *ipns.Record) error {
	f := w.all
	l, ok, err := f.get(ctx, w.name.String())
	if err != nil || !ok || l.Removed {
		return err
	}
	e, err := f.Book.Get(ctx, w.name)
	if errors.Is(err, recordstore.ErrNotFound) && latest == nil && f.Names.Search != nil {
		if latest, err = f.Names.Search(ctx, w.name); err != nil {
			return fmt.Errorf("no record of %s was found: %w", w.name, err)
		}
		err = recordstore.ErrNotFound
	}
	if errors.Is(err, recordstore.ErrNotFound) && latest != nil {
		if !l.Adopted { // said before it is so: after a crash it would stay for ever
			if err := f.change(ctx, l.Name, func(l *Follow) { l.Adopted = l.Name != "" }); err != nil {
				return err
			}
		}
		if _, err = f.Book.Take(ctx, latest, names.Entrance{Origin: recordstore.Hosted}); err == nil {
			e, err = f.Book.Get(ctx, w.name)
		}
	}
	switch {
	case errors.Is(err, recordstore.ErrNotFound), err == nil && e.Record == nil:
		return nil // it is searched
	case err != nil:
		return err
	case !l.Pin:
		return nil
	}
	return w.keep(ctx, l, e.Record)
}

// keep fetches and pins what a record leads to, and then lets older values go.
func (w *follower) keep(ctx context.Context, l Follow, rec *ipns.Record) error {
	f := w.all
	path := rec.Value()
	if !strings.HasPrefix(path, "/ipfs/") {
		return fmt.Errorf("its value %s is no content: only its record is kept", path)
	}
	select {
	case f.fetches <- struct{}{}:
		defer func() { <-f.fetches }()
	case <-ctx.Done():
		return ctx.Err()
	}
	// What a path leads to does not change: it is not fetched again to find that out.
	tooMuch := fmt.Errorf("%s has more than the %d bytes that are allowed: what was kept stays", path, l.MaxSize)
	if w.tooLarge == tooMuch.Error() {
		return tooMuch
	}
	v := Value{Sequence: rec.Sequence(), At: time.Now().UTC().Truncate(time.Second)}
	bytes, err := w.fetch(ctx, l, path, &v, tooMuch)
	if errors.Is(err, tooMuch) {
		w.tooLarge = err.Error()
	}
	if err != nil {
		return err
	}
	v.Bytes = bytes
	// The pin is made and the row written before anything is let go.
	dropped := false
	err = f.change(ctx, l.Name, func(l *Follow) {
		values := []Value{v}
		for _, old := range l.Values {
			if old.Root != v.Root {
				values = append(values, old)
			}
		}
		dropped = len(values) > l.Keep
		l.Values = values[:min(len(values), l.Keep)]
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.fetching = ""
	w.mu.Unlock()
	if !dropped {
		return nil
	}
	return f.letGo(ctx)
}

// fetch has the content at a path here as a whole, and pins it, within the size that is
// allowed; with more it fails with tooMuch. It returns how much that is.
func (w *follower) fetch(ctx context.Context, l Follow, path string, v *Value, tooMuch error) (uint64, error) {
	f := w.all
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	tracked, seen := content.Track(ctx)
	over := make(chan struct{})
	var watching sync.WaitGroup
	defer watching.Wait()
	defer close(over)
	watching.Go(func() {
		tick := time.NewTicker(glance)
		defer tick.Stop()
		blocks, since := -1, time.Now()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			n, bytes := seen()
			if n != blocks {
				blocks, since = n, time.Now()
			}
			switch {
			case l.MaxSize > 0 && bytes > l.MaxSize:
				stop(tooMuch)
			case time.Since(since) > stalled, n == 0 && time.Since(since) > nobody:
				stop(fmt.Errorf("no block of %s came for %s", path, time.Since(since).Round(time.Second)))
			}
		}
	})
	root, err := f.Content.Resolve(ctx, path)
	if err == nil {
		w.mu.Lock()
		w.fetching = root.String()
		w.mu.Unlock()
	}
	if err == nil && len(l.Values) > 0 && l.Values[0].Root == root.String() {
		if _, err := f.Content.PinOf(ctx, root, content.Recursive); err == nil {
			v.Root, v.At = root.String(), l.Values[0].At
			return l.Values[0].Bytes, nil // it is here
		}
	}
	if err == nil {
		err = f.Content.Fetch(tracked, root)
	}
	bytes := uint64(0)
	if err == nil {
		bytes, err = w.measure(ctx, root)
	}
	if err == nil && l.MaxSize > 0 && bytes > l.MaxSize {
		err = tooMuch
	}
	if err == nil {
		err = f.Content.KeepFollowed(ctx, root, l.Name)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	v.Root = root.String()
	return bytes, err
}

// measure returns how large a tree is that is here.
func (w *follower) measure(ctx context.Context, root cid.Cid) (uint64, error) {
	bytes, all, err := w.all.Content.Local(ctx, root)
	if err == nil && !all {
		err = fmt.Errorf("%s is not here as a whole: it was collected as garbage meanwhile", root)
	}
	return bytes, err
}
