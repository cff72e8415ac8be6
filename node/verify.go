package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	store "github.com/goipns/ipns/recordstore/pebble"
)

const (
	maxDamages = 10_000           // that one call tells of and mends
	mendLimit  = 30 * time.Second // of asking the network for one name
)

// Finding is something that is damaged, in words.
type Finding struct {
	Msg    string
	Name   string // whose entry it is, if it is that of a key here
	Mended bool
}

// Verify tells what is damaged in the store of names, and mends it if that is
// asked for. left is how much of it remains. It ends when tell returns false.
func (n *Node) Verify(ctx context.Context, repair bool, tell func(Finding) bool) (left int, err error) {
	own, damaged, err := n.OwnNames(ctx)
	if err != nil {
		return 0, err
	}
	damages, err := n.damages(ctx, own)
	if err != nil {
		return 0, err
	}
	told := make(map[ipns.Name]bool)
	for _, name := range damaged {
		told[name] = true
	}
	for _, d := range damages {
		if told[d.Name] {
			continue // it is told of below
		}
		f := Finding{Msg: "damaged: " + d.String()}
		if repair {
			f.Msg, f.Mended = n.mend(ctx, d, own)
		}
		if !f.Mended {
			left++
		}
		if !tell(f) {
			return left, nil
		}
	}
	for _, name := range damaged {
		f := Finding{Name: name.String(), Msg: fmt.Sprintf("damaged: %s, the name of a key that is here", name)}
		if repair {
			f.Msg, f.Mended = n.mendName(ctx, name)
		}
		if !f.Mended {
			left++
		}
		if !tell(f) {
			return left, nil
		}
	}
	return left, nil
}

// damages lists what Check finds.
func (n *Node) damages(ctx context.Context, own []ipns.Name) (list []store.Damage, err error) {
	for d, err := range n.records.Check(ctx, own...) {
		if err != nil {
			return nil, err
		}
		if list = append(list, d); len(list) == maxDamages {
			break
		}
	}
	return list, nil
}

// OwnNames lists the names of the keys that are here, and those of them whose
// entry is damaged.
func (n *Node) OwnNames(ctx context.Context) (own, damaged []ipns.Name, err error) {
	keys, err := n.Keys.List()
	if err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		if key.Err != nil {
			continue
		}
		own = append(own, key.Name)
		e, err := n.records.Get(ctx, key.Name)
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
			return nil, nil, err
		}
		if err == nil && e.Damaged {
			damaged = append(damaged, key.Name)
		}
	}
	return own, damaged, nil
}

// mend mends what is not the entry of an own name.
func (n *Node) mend(ctx context.Context, d store.Damage, own []ipns.Name) (msg string, ok bool) {
	if err := n.records.Mend(ctx, d, own); err != nil {
		return fmt.Sprintf("not mended: %v: %v", d, err), false
	}
	return "mended: " + d.String(), true
}

// mendName rebuilds the entry of a name from its history, and from what the network
// has of it.
func (n *Node) mendName(ctx context.Context, name ipns.Name) (msg string, ok bool) {
	if err := n.records.Restore(ctx, name); err != nil {
		return fmt.Sprintf("not mended: %s: %v", name, err), false
	}
	if n.Router != nil {
		if err := n.takeNewest(ctx, name); err != nil {
			n.Log.Warn("the network was not asked for a damaged name", "name", name, "err", err)
		}
	}
	e, err := n.records.Get(ctx, name)
	switch {
	case err != nil:
		return fmt.Sprintf("not mended: %s: %v", name, err), false
	case e.Record == nil:
		return fmt.Sprintf("mended: %s: nothing of it is left here; its next publish searches the network first", name), true
	}
	return fmt.Sprintf("mended: %s: sequence %d, %s; its next publish searches the network first", name, e.Record.Sequence(), e.Record.Value()), true
}

// takeNewest has the Book take what the network has of a name.
func (n *Node) takeNewest(ctx context.Context, name ipns.Name) error {
	ctx, cancel := context.WithTimeout(ctx, mendLimit)
	defer cancel()
	var best *ipns.Record
	for a, err := range n.Router.Search(ctx, name) {
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
	_, err := n.Book.Take(ctx, best, names.Entrance{Origin: recordstore.Own})
	return err
}

// mendOwn rebuilds the damaged entries of own names when the node starts, so that
// they are kept alive again.
func (n *Node) mendOwn(ctx context.Context) {
	_, damaged, err := n.OwnNames(ctx)
	if err != nil {
		n.Log.Warn("looking for damaged names", "err", err)
		return
	}
	for _, name := range damaged {
		msg, ok := n.mendName(ctx, name)
		n.Log.Error("the entry of a name was damaged; 'ipns repo verify' looks for more", "name", name, "outcome", msg, "mended", ok)
	}
}
