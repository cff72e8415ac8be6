// Package follow keeps names of others alive with what they lead to. The record of a name
// that is followed is hosted: the node announces it byte for byte until its EOL, and looks
// for newer ones at its TTL. With a pin, the content is kept too.
//
// Invariants:
//   - New content is here as a whole, and pinned, before older content is let go.
//   - No more is fetched of one value than the follow allows.
//   - When a record expires, its content stays.
package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
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
	// MaxFollows bounds the names that are followed.
	MaxFollows = 10_000
	// MaxKeep bounds the values that are kept of one name.
	MaxKeep = 1000

	table = "follows" // by name
)

// ErrNotFollowed means that a name is not followed.
var ErrNotFollowed = errors.New("the name is not followed")

// Follow says that a name is followed, and what is kept of it.
type Follow struct {
	Name    string
	Pin     bool   // keep its content
	Keep    int    // how many values, at least 1
	MaxSize uint64 // bytes of one value; 0: no limit
	Since   time.Time
	// Adopted says that the name was hosted because of this.
	Adopted bool
	// Removed says that the follow is being removed.
	Removed bool `json:",omitempty"`
	// Values are those that are kept, newest first.
	Values []Value `json:",omitempty"`
}

// Value is a value of a name whose content is here and pinned.
type Value struct {
	Root     string
	Bytes    uint64
	Sequence uint64
	At       time.Time
}

// State is how it stands with a follow.
type State struct {
	Follow
	Record   *ipns.Record // nil: none was found yet
	Expired  bool
	Fetching string // the root that is being fetched
	Error    string // why the newest value is not kept
}

// Follower follows names.
type Follower struct {
	Names   *watch.Names     // required
	Book    *names.Book      // required
	Rows    recordstore.Rows // required
	Content *content.Store   // required
	Log     *slog.Logger     // required

	fetches chan struct{} // as many as may go on
	keeping sync.Mutex    // held while pins are let go
	orders  sync.Mutex    // held while a name is added or removed
	mu      sync.Mutex    // guards all below
	life    context.Context
	running map[string]*follower
	group   sync.WaitGroup
}

// Run follows all names until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	list, err := f.rows(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.life, f.running, f.fetches = ctx, make(map[string]*follower), make(chan struct{}, maxFetches)
	f.mu.Unlock()
	if err := f.letGo(ctx); err != nil && ctx.Err() == nil { // a crash may have come before
		f.Log.Warn("what is kept no more of names that are followed", "err", err)
	}
	for _, l := range list {
		if l.Removed { // a crash came in between
			if _, err := f.Remove(ctx, l.name()); err != nil && ctx.Err() == nil {
				f.Log.Warn("a name is not followed any more", "name", l.Name, "err", err)
			}
			continue
		}
		f.mu.Lock()
		f.start(l)
		f.mu.Unlock()
	}
	<-ctx.Done()
	f.mu.Lock()
	f.life = nil
	f.mu.Unlock()
	f.group.Wait()
	return ctx.Err()
}

// start follows a name. Call with mu held.
func (f *Follower) start(l Follow) {
	if f.running[l.Name] != nil {
		return
	}
	ctx, cancel := context.WithCancel(f.life)
	w := &follower{all: f, name: l.name(), cancel: cancel, over: make(chan struct{})}
	f.running[l.Name] = w
	f.group.Go(func() {
		defer close(w.over)
		defer cancel()
		w.run(ctx)
	})
}

// name returns the name of a follow, which was checked when it was added.
func (l Follow) name() ipns.Name {
	name, err := ipns.ParseName(l.Name)
	if err != nil {
		return ipns.Name{}
	}
	return name
}

// Add follows a name, or changes how it is followed.
func (f *Follower) Add(ctx context.Context, name ipns.Name, pin bool, keep int, maxSize uint64) (Follow, error) {
	l := Follow{Name: name.String(), Pin: pin, Keep: max(keep, 1), MaxSize: maxSize, Since: time.Now().UTC().Truncate(time.Second)}
	if l.Keep > MaxKeep {
		return l, fmt.Errorf("%d values are too many to keep of a name, the limit is %d", l.Keep, MaxKeep)
	}
	f.orders.Lock()
	defer f.orders.Unlock()
	e, err := f.Book.Get(ctx, name)
	switch {
	case err == nil && e.Origin == recordstore.Own:
		return l, fmt.Errorf("%s is a name of this node: it is kept alive anyway", name)
	case err != nil && !errors.Is(err, recordstore.ErrNotFound):
		return l, err
	}
	list, err := f.rows(ctx)
	if err != nil {
		return l, err
	}
	known := slices.ContainsFunc(list, func(of Follow) bool { return of.Name == l.Name })
	if len(list) >= MaxFollows && !known {
		return l, fmt.Errorf("%d names are followed already", len(list))
	}
	err = f.change(ctx, l.Name, func(old *Follow) {
		if old.Name != "" && !old.Removed {
			l.Since, l.Adopted, l.Values = old.Since, old.Adopted, old.Values
		}
		*old = l
	})
	if err != nil {
		return l, fmt.Errorf("follow %s: %w", name, err)
	}
	f.mu.Lock()
	w := f.running[l.Name]
	if f.life != nil && w == nil {
		f.start(l)
	}
	f.mu.Unlock()
	if w != nil {
		w.again()
	}
	return l, nil
}

// Remove follows a name no more: its content is let go, and its record too if it was kept for
// this alone.
func (f *Follower) Remove(ctx context.Context, name ipns.Name) (Follow, error) {
	f.orders.Lock()
	defer f.orders.Unlock()
	l, ok, err := f.get(ctx, name.String())
	if err != nil || !ok {
		return l, errors.Join(err, fmt.Errorf("%s: %w", name, ErrNotFollowed))
	}
	if err := f.change(ctx, l.Name, func(l *Follow) { l.Removed = true }); err != nil {
		return l, err
	}
	f.mu.Lock()
	w := f.running[l.Name]
	delete(f.running, l.Name)
	f.mu.Unlock()
	if w != nil {
		w.cancel()
		<-w.over
	}
	if err := f.letGo(ctx); err != nil {
		return l, fmt.Errorf("let go of what was kept of %s: %w", name, err)
	}
	e, err := f.Book.Get(ctx, name)
	if err == nil && l.Adopted && e.Origin == recordstore.Hosted && e.Tenant == "" {
		err = f.Book.Forget(ctx, e, recordstore.Lease{})
	}
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return l, err
	}
	return l, f.change(ctx, l.Name, func(l *Follow) { *l = Follow{} })
}

// List returns all names that are followed.
func (f *Follower) List(ctx context.Context) ([]State, error) {
	list, err := f.rows(ctx)
	if err != nil {
		return nil, err
	}
	states := make([]State, 0, len(list))
	for _, l := range list {
		if l.Removed {
			continue
		}
		s := State{Follow: l}
		e, err := f.Book.Get(ctx, l.name())
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
			return nil, err
		}
		if s.Record = e.Record; s.Record != nil {
			s.Expired = s.Record.Expired(time.Now())
		}
		f.mu.Lock()
		w := f.running[l.Name]
		f.mu.Unlock()
		if w != nil {
			s.Fetching, s.Error = w.state()
		}
		states = append(states, s)
	}
	return states, nil
}

// Roots yields the roots of all content that is kept, which is not garbage.
func (f *Follower) Roots(ctx context.Context) iter.Seq2[cid.Cid, error] {
	return func(yield func(cid.Cid, error) bool) {
		list, err := f.rows(ctx)
		if err != nil {
			yield(cid.Undef, err)
			return
		}
		for _, l := range list {
			for _, v := range l.Values {
				if c, err := cid.Decode(v.Root); err == nil && !l.Removed && !yield(c, nil) {
					return
				}
			}
		}
	}
}

// letGo removes the pins that were made for names that are followed and are for none of the
// values that are kept, or about to be: a pin that is here is in the row of its name, or
// that name has not said yet that it is done.
func (f *Follower) letGo(ctx context.Context) error {
	f.keeping.Lock()
	defer f.keeping.Unlock()
	var pins []cid.Cid
	for p, err := range f.Content.Pins(ctx, content.Recursive) {
		if err != nil {
			return err
		}
		if _, ok := p.FollowedBy(); ok {
			pins = append(pins, p.CID)
		}
	}
	wanted := f.fetching() // first: see above
	list, err := f.rows(ctx)
	if err != nil {
		return err
	}
	for _, l := range list {
		for _, v := range l.Values {
			wanted[v.Root] = wanted[v.Root] || !l.Removed
		}
	}
	for _, c := range pins {
		if wanted[c.String()] {
			continue
		}
		if _, err := f.Content.UnpinFollowed(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// fetching returns the roots that are being fetched.
func (f *Follower) fetching() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	roots := make(map[string]bool)
	for _, w := range f.running {
		root, _ := w.state()
		roots[root] = true
	}
	return roots
}

func (f *Follower) rows(ctx context.Context) (list []Follow, err error) {
	for row, err := range f.Rows.Range(ctx, table, "", "") {
		var l Follow
		if err == nil {
			err = json.Unmarshal(row.Value, &l)
		}
		if err != nil {
			return nil, fmt.Errorf("names that are followed: %w", err)
		}
		list = append(list, l)
	}
	return list, nil
}

func (f *Follower) get(ctx context.Context, name string) (l Follow, ok bool, err error) {
	row, err := f.Rows.Get(ctx, table, name)
	if errors.Is(err, recordstore.ErrNotFound) {
		return l, false, nil
	}
	if err == nil {
		err = json.Unmarshal(row.Value, &l)
	}
	return l, err == nil, err
}

// change changes the row of a name. Without a Name in the end it is deleted.
func (f *Follower) change(ctx context.Context, name string, change func(*Follow)) error {
	return recordstore.ChangeRow(ctx, f.Rows, table, name, func(value []byte) ([]byte, error) {
		var l Follow
		if value != nil {
			if err := json.Unmarshal(value, &l); err != nil {
				return nil, err
			}
		}
		if change(&l); l.Name == "" {
			return nil, nil
		}
		return json.Marshal(l)
	})
}
