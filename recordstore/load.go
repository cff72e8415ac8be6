package recordstore

import (
	"context"
	"fmt"

	"github.com/goipns/ipns"
)

// MaxLoad bounds the names of one call of Load: while a database writes many at once, the
// changes of others wait.
const MaxLoad = 5000

// Whole is all that a store has of one name.
type Whole struct {
	Entry Entry // its Version stays as it is, but for 0, which becomes 1
	// Past are the versions before those of Entry, in any order. An entry that is Hosted
	// keeps as many of the newest ones as HostedHistory leaves room for.
	Past   []Past
	Upkeep Upkeep // without LastPut and Due: none was noted
}

// Loader is implemented by stores into which many names can be written at once, faster
// than by swaps.
type Loader interface {
	// Load stores up to MaxLoad names that are not in the store. Those that are there
	// already it leaves as they are, and returns them. The others are durable when Load
	// returns without an error, and readers of Changes see them. After an error none of
	// them is stored; after ErrDoubt, all or none are: repeat the call to find out.
	//
	// Nobody compares what is loaded with what was there before: Load is for stores that
	// are being filled.
	Load(ctx context.Context, names []Whole) (there []ipns.Name, err error)
}

// SettleLoad checks what is to be loaded, and returns it as a store keeps it.
// Implementations of Loader call it before they write.
func SettleLoad(names []Whole) ([]Whole, error) {
	if len(names) > MaxLoad {
		return nil, fmt.Errorf("load %d names at once: the limit is %d", len(names), MaxLoad)
	}
	list := make([]Whole, 0, len(names))
	seen := make(map[ipns.Name]bool, len(names))
	for _, w := range names {
		e := &w.Entry
		if err := check(*e); err != nil {
			return nil, fmt.Errorf("load %s: %w", e.Name, err)
		}
		if e.Origin != Hosted && e.Origin != Own {
			return nil, fmt.Errorf("load %s: it is neither hosted nor own", e.Name)
		}
		if seen[e.Name] {
			return nil, fmt.Errorf("load %s: it is there twice", e.Name)
		}
		seen[e.Name] = true
		e.Version = max(e.Version, 1)
		e.Changed = e.Changed.Round(0).UTC()
		e.Damaged = false
		var err error
		if w.Past, err = settlePast(w.Entry, w.Past); err != nil {
			return nil, fmt.Errorf("load %s: %w", e.Name, err)
		}
		w.Upkeep.Name = e.Name
		list = append(list, w)
	}
	return list, nil
}

// settlePast returns the versions that are kept beside those of an entry, newest first.
func settlePast(e Entry, past []Past) ([]Past, error) {
	shown := map[PastKey]bool{}
	for _, rec := range e.Kept() {
		shown[PastKeyOf(rec)] = true
	}
	var list []Past
	for _, p := range past {
		if p.Record == nil || p.Record.Name() != e.Name {
			return nil, fmt.Errorf("its history has a version of another name, or none")
		}
		if key := PastKeyOf(p.Record); !shown[key] {
			shown[key] = true
			list = append(list, p)
		}
	}
	NewestFirst(list)
	if e.Origin == Hosted {
		list = list[:min(len(list), max(0, HostedHistory-len(e.Kept())))]
	}
	return list, nil
}
