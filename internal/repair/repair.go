// Package repair finds damage in the store of names and repairs it, from the history of a
// name and from the network.
package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/routing"
)

const (
	maxDamages  = 10_000           // that one call reports and repairs
	repairLimit = 30 * time.Second // for a search of one name
)

// Repairer repairs the names of one store.
type Repairer struct {
	Keys   *keystore.Keyring // whose names are own
	Store  recordstore.Database
	Own    *pebble.Store  // the Store; nil: that is a database elsewhere, which is only read
	Book   *names.Book    // upon Store
	Router routing.Router // nil: offline
	Log    *slog.Logger
}

// Finding describes one damage.
type Finding struct {
	Msg      string
	Name     string // the name of the damaged entry, if its key is here
	Repaired bool
}

// Verify finds damage in the store of names, and repairs it if requested. left is how
// much remains. It stops when tell returns false.
func (r *Repairer) Verify(ctx context.Context, repair bool, tell func(Finding) bool) (left int, err error) {
	if r.Own == nil {
		return r.read(ctx, tell)
	}
	own, damaged, err := r.OwnNames(ctx)
	if err != nil {
		return 0, err
	}
	damages, err := r.damages(ctx, own)
	if err != nil {
		return 0, err
	}
	told := make(map[ipns.Name]bool)
	for _, name := range damaged {
		told[name] = true
	}
	for _, d := range damages {
		if told[d.Name] {
			continue // reported below
		}
		f := Finding{Msg: "damaged: " + d.String()}
		if repair {
			f.Msg, f.Repaired = r.repair(ctx, d, own)
		}
		if !f.Repaired {
			left++
		}
		if !tell(f) {
			return left, nil
		}
	}
	for _, name := range damaged {
		f := Finding{Name: name.String(), Msg: fmt.Sprintf("damaged: %s, the name of a key that is here", name)}
		if repair {
			f.Msg, f.Repaired = r.repairName(ctx, name)
		}
		if !f.Repaired {
			left++
		}
		if !tell(f) {
			return left, nil
		}
	}
	return left, nil
}

// read reads all entries of a database that others use too, and verifies their records. What
// it finds is not repaired here: that database has backups of its own.
func (r *Repairer) read(ctx context.Context, tell func(Finding) bool) (left int, err error) {
	for e, err := range r.Store.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			return left, fmt.Errorf("read the shared database, which is to be restored if it is damaged: %w", err)
		}
		for _, rec := range append(e.Kept(), e.Staged...) {
			if _, err := ipns.Reopen(rec.Name(), rec.Raw()); err != nil {
				left++
				if !tell(Finding{Msg: fmt.Sprintf("damaged: %s: %v: publish it again, or restore the shared database", e.Name, err)}) {
					return left, nil
				}
				break
			}
		}
	}
	return left, nil
}

// damages returns what Check finds.
func (r *Repairer) damages(ctx context.Context, own []ipns.Name) (list []pebble.Damage, err error) {
	for d, err := range r.Own.Check(ctx, own...) {
		if err != nil {
			return nil, err
		}
		if list = append(list, d); len(list) == maxDamages {
			break
		}
	}
	return list, nil
}

// OwnNames returns the names of the keys on this node, and those of them whose entry is
// damaged.
func (r *Repairer) OwnNames(ctx context.Context) (own, damaged []ipns.Name, err error) {
	keys, err := r.Keys.List()
	if err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		if key.Err != nil {
			continue
		}
		own = append(own, key.Name)
		e, err := r.Store.Get(ctx, key.Name)
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
			return nil, nil, err
		}
		if err == nil && e.Damaged {
			damaged = append(damaged, key.Name)
		}
	}
	return own, damaged, nil
}

// repair repairs anything but the entry of an own name.
func (r *Repairer) repair(ctx context.Context, d pebble.Damage, own []ipns.Name) (msg string, ok bool) {
	if err := r.Own.Repair(ctx, d, own); err != nil {
		return fmt.Sprintf("not repaired: %v: %v", d, err), false
	}
	return "repaired: " + d.String(), true
}

// repairName rebuilds the entry of a name from its history and from the network.
func (r *Repairer) repairName(ctx context.Context, name ipns.Name) (msg string, ok bool) {
	if err := r.Own.Restore(ctx, name); err != nil {
		return fmt.Sprintf("not repaired: %s: %v", name, err), false
	}
	if r.Router != nil {
		if err := r.takeNewest(ctx, name); err != nil {
			r.Log.Warn("the network was not asked for a damaged name", "name", name, "err", err)
		}
	}
	e, err := r.Store.Get(ctx, name)
	switch {
	case err != nil:
		return fmt.Sprintf("not repaired: %s: %v", name, err), false
	case e.Record == nil:
		return fmt.Sprintf("repaired: %s: nothing of it is left here; its next publish searches the network first", name), true
	}
	return fmt.Sprintf("repaired: %s: sequence %d, %s; its next publish searches the network first", name, e.Record.Sequence(), e.Record.Value()), true
}

// takeNewest searches the network for a name and enters the newest record into the Book.
func (r *Repairer) takeNewest(ctx context.Context, name ipns.Name) error {
	ctx, cancel := context.WithTimeout(ctx, repairLimit)
	defer cancel()
	var best *ipns.Record
	for a, err := range r.Router.Search(ctx, name) {
		if err != nil {
			return err
		}
		if a.Record != nil && (best == nil || ipns.Compare(a.Record, best) > 0) {
			best = a.Record
		}
	}
	if best == nil {
		return nil
	}
	_, err := r.Book.Take(ctx, best, names.Entrance{Origin: recordstore.Own})
	return err
}

// RepairOwn rebuilds the damaged entries of own names when a node starts, so that they
// are kept alive again.
func (r *Repairer) RepairOwn(ctx context.Context) {
	if r.Own == nil {
		return
	}
	_, damaged, err := r.OwnNames(ctx)
	if err != nil {
		r.Log.Warn("looking for damaged names", "err", err)
		return
	}
	for _, name := range damaged {
		msg, ok := r.repairName(ctx, name)
		r.Log.Error("the entry of a name was damaged; the command repo verify looks for more", "name", name, "outcome", msg, "repaired", ok)
	}
}
