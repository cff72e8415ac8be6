package storemove

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// pair is what both stores have of a name.
type pair struct {
	old, new recordstore.Whole // new without a version: it is not there
	verdict  verdict
}

// verdict compares what both stores have of a name.
type verdict int

const (
	missing verdict = iota // the new store does not have it
	same
	noted  // the same, but for newer upkeep in the new store
	stale  // the same, but for older upkeep in the new store
	ahead  // the new store knows as much or more
	behind // the old store knows all that the new one does, and more
	other  // each knows something that the other does not
)

// entries are what both stores have of a name; new has version 0 if it is not there.
type entries struct{ old, new recordstore.Entry }

// names passes what both stores have of each name of the old one to f, some at once, in
// the order of the old one.
func (r *run) names(ctx context.Context, f func([]pair) error) error {
	there := newCursor(ctx, r.To)
	defer there.stop()
	var list []entries
	flush := func() error {
		pairs, err := r.pairs(ctx, list)
		if err == nil {
			err = f(pairs)
		}
		list = list[:0]
		return err
	}
	for e, err := range r.From.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			return fmt.Errorf("old store: %w", err)
		}
		if e.Damaged {
			return fmt.Errorf("old store: %s is damaged: repair it first", e.Name)
		}
		new, err := there.to(e.Name)
		if err != nil {
			return fmt.Errorf("new store: %w", err)
		}
		if list = append(list, entries{e, new}); len(list) == chunk {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// cursor goes through the names of a store, which are in the order of their Kademlia ids.
type cursor struct {
	next func() (recordstore.Entry, error, bool)
	stop func()
	at   recordstore.Entry
	more bool
}

func newCursor(ctx context.Context, db recordstore.Database) *cursor {
	c := &cursor{more: true}
	c.next, c.stop = iter.Pull2(db.Scan(ctx, recordstore.Region{}))
	return c
}

// to returns the entry of a name; with version 0 if there is none. Each name must come after
// the one before.
func (c *cursor) to(name ipns.Name) (recordstore.Entry, error) {
	k := name.Kad()
	for c.more {
		if at := c.at.Name.Kad(); !c.at.Name.IsZero() && bytes.Compare(at[:], k[:]) >= 0 {
			break
		}
		var err error
		if c.at, err, c.more = c.next(); err != nil {
			return recordstore.Entry{}, err
		}
	}
	if c.at.Name != name {
		return recordstore.Entry{}, nil
	}
	return c.at, nil
}

// pairs reads what both stores have of names.
func (r *run) pairs(ctx context.Context, list []entries) ([]pair, error) {
	pairs := make([]pair, len(list))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for i, e := range list {
		g.Go(func() (err error) {
			pairs[i], err = r.pair(ctx, e)
			return err
		})
	}
	return pairs, g.Wait()
}

func (r *run) pair(ctx context.Context, e entries) (p pair, err error) {
	if p.old, err = read(ctx, r.From, e.old); err != nil {
		return p, fmt.Errorf("old store: %w", err)
	}
	if e.new.Version == 0 {
		return p, nil
	}
	if p.new, err = read(ctx, r.To, e.new); err != nil {
		return p, fmt.Errorf("new store: %w", err)
	}
	p.verdict, err = r.judge(p.old, p.new)
	return p, err
}

// again reads names once more, after they were changed in the new store.
func (r *run) again(ctx context.Context, pairs []pair) ([]pair, error) {
	list := make([]entries, len(pairs))
	for i, p := range pairs {
		new, err := r.To.Get(ctx, p.old.Entry.Name)
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
			return nil, fmt.Errorf("new store: %w", err)
		}
		list[i] = entries{p.old.Entry, new}
	}
	return r.pairs(ctx, list)
}

// read returns all that a store has of a name.
func read(ctx context.Context, db recordstore.Database, e recordstore.Entry) (w recordstore.Whole, err error) {
	w.Entry = e
	for p, err := range db.History(ctx, e.Name) {
		if err != nil {
			return w, err
		}
		w.Past = append(w.Past, p)
	}
	w.Upkeep, err = db.Upkeep(ctx, e.Name)
	return w, err
}

// bytes returns all that a store has of a name, but its upkeep, in one form. When a version
// was entered that came by a swap is not compared: not every store keeps that of a rival.
func (r *run) bytes(w recordstore.Whole, gen recordstore.Generation) ([]byte, error) {
	return nameBytes(w, gen, !r.raised[w.Entry.Name])
}

func (r *run) judge(old, new recordstore.Whole) (verdict, error) {
	was, err := r.bytes(old, r.from)
	now, nerr := r.bytes(new, r.to)
	if err := errors.Join(err, nerr); err != nil {
		return 0, err
	}
	if bytes.Equal(was, now) {
		was, err := upkeepBytes(old.Upkeep)
		now, nerr := upkeepBytes(new.Upkeep)
		switch {
		case err != nil || nerr != nil:
			return 0, errors.Join(err, nerr)
		case bytes.Equal(was, now):
			return same, nil
		case new.Upkeep.LastPut.After(old.Upkeep.LastPut):
			return noted, nil
		}
		return stale, nil
	}
	a, b := old.Entry, new.Entry
	switch {
	case b.Mark.Compare(a.Mark) >= 0 && b.Next >= a.Next && b.Origin >= a.Origin && b.Tenant == a.Tenant && a.Pending == nil && len(a.Staged) == 0:
		return ahead, nil
	case a.Mark.Compare(b.Mark) >= 0 && a.Next >= b.Next && a.Origin >= b.Origin && (has(old, b.Record) || outlived(a, b)):
		return behind, nil
	}
	return other, nil
}

// holds reports whether a record is among the versions of a name.
func holds(w recordstore.Whole, rec *ipns.Record) bool {
	is := func(r *ipns.Record) bool { return r.Hash() == rec.Hash() }
	return slices.ContainsFunc(w.Entry.Kept(), is) || slices.ContainsFunc(w.Past, func(p recordstore.Past) bool { return is(p.Record) })
}

// has reports whether a record is among the versions of a name, or a renewal of it is.
func has(w recordstore.Whole, rec *ipns.Record) bool {
	if rec == nil {
		return true
	}
	key := recordstore.PastKeyOf(rec)
	is := func(rec *ipns.Record) bool { return rec != nil && recordstore.PastKeyOf(rec) == key }
	return slices.ContainsFunc(w.Entry.Kept(), is) || slices.ContainsFunc(w.Past, func(p recordstore.Past) bool { return is(p.Record) })
}

// outlived reports whether b is of the same hosted name as a, and older: of those, not all
// versions are kept.
func outlived(a, b recordstore.Entry) bool {
	return a.Origin == recordstore.Hosted && b.Origin == recordstore.Hosted && a.Tenant == b.Tenant && a.Mark.Compare(b.Mark) > 0
}

// copyNames loads what is missing, and brings what an earlier call has put there up to date.
func (r *run) copyNames(ctx context.Context) error {
	return r.names(ctx, func(pairs []pair) error { return r.bring(ctx, pairs) })
}

// bring copies what the new store does not have of names.
func (r *run) bring(ctx context.Context, pairs []pair) error {
	var load []recordstore.Whole
	for _, p := range pairs {
		switch p.verdict {
		case missing:
			w := p.old
			w.Entry = translate(w.Entry, r.from, r.to)
			w.Entry.Version = 0
			load = append(load, w)
		case stale:
			if err := r.To.SetUpkeep(ctx, p.old.Upkeep); err != nil {
				return fmt.Errorf("new store: %w", err)
			}
		case behind:
			if err := r.raise(ctx, p); err != nil {
				return fmt.Errorf("new store: %w", err)
			}
		case ahead:
			r.kept[p.old.Entry.Name] = true
		case other:
			return &Conflict{Names: []ipns.Name{p.old.Entry.Name}}
		}
	}
	if len(load) > 0 {
		if err := r.load(ctx, load); err != nil {
			return fmt.Errorf("new store: %w", err)
		}
	}
	r.tell("copying", len(pairs))
	return nil
}

// load stores names that the new store does not have.
func (r *run) load(ctx context.Context, list []recordstore.Whole) error {
	if l, ok := r.To.(recordstore.Loader); ok {
		there, err := l.Load(ctx, list)
		for _, name := range there { // another daemon was quicker
			r.kept[name] = true
		}
		return err
	}
	for _, w := range list {
		if err := r.raise(ctx, pair{old: w}); err != nil {
			return err
		}
	}
	return nil
}

// raise brings a name of the new store up to what the old one has, version by version. A
// crash in between leaves it behind.
func (r *run) raise(ctx context.Context, p pair) error {
	r.raised[p.old.Entry.Name] = true
	next := translate(p.old.Entry, r.from, r.to)
	next.Version = p.new.Entry.Version
	now := p.new.Entry.Record
	for _, past := range slices.Backward(p.old.Past) {
		if now != nil && holds(p.new, past.Record) || holds(recordstore.Whole{Entry: next}, past.Record) && past.At.Equal(next.Changed) {
			continue
		}
		// What is known of the name is noted with the newest version alone.
		e := recordstore.Entry{Name: next.Name, Origin: next.Origin, Tenant: next.Tenant, Changed: past.At, Version: next.Version}
		if now == nil || ipns.Compare(past.Record, now) > 0 {
			now = past.Record
		} else {
			e.Rivals = []*ipns.Record{past.Record} // it came later, and the name must not go back
		}
		e.Record, e.Mark = now, recordstore.MarkOf(now)
		stored, err := r.To.Swap(ctx, e, recordstore.Lease{})
		if err != nil {
			return err
		}
		next.Version = stored.Version
	}
	if _, err := r.To.Swap(ctx, next, recordstore.Lease{}); err != nil {
		return err
	}
	if !isNoted(p.old.Upkeep) {
		return nil
	}
	return r.To.SetUpkeep(ctx, p.old.Upkeep)
}
