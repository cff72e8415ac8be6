package daemon

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	store "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/rpc"
)

const (
	maxDamages = 10_000           // that one call tells of and mends
	mendLimit  = 30 * time.Second // of asking the network for one name
)

// RepoVerify implements [rpc.Control].
func (n *Node) RepoVerify(ctx context.Context, req rpc.RepoVerifyRequest) iter.Seq2[rpc.Finding, error] {
	return func(yield func(rpc.Finding, error) bool) {
		left, err := n.verify(ctx, req.Repair, func(f rpc.Finding) bool { return yield(f, nil) })
		switch {
		case errors.Is(err, errEnough):
		case err != nil:
			yield(rpc.Finding{}, err)
		case left > 0 && !req.Repair:
			yield(rpc.Finding{}, fmt.Errorf("%d damaged: 'ipns repo verify --repair' mends what can be mended", left))
		case left > 0:
			yield(rpc.Finding{}, fmt.Errorf("%d damaged and not mended: put a backup of the repo in its place", left))
		default:
			yield(rpc.Finding{Msg: "verify complete, all names are whole."}, nil)
		}
	}
}

// errEnough ends a verification whose caller has gone.
var errEnough = errors.New("caller stopped")

// verify tells what is damaged, and mends it if that is asked for. left is how
// much of it remains.
func (n *Node) verify(ctx context.Context, repair bool, tell func(rpc.Finding) bool) (left int, err error) {
	own, damaged, err := n.ownNames(ctx)
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
		f := rpc.Finding{Msg: "damaged: " + d.String()}
		if repair {
			f.Msg, f.Mended = n.mend(ctx, d, own)
		}
		if !f.Mended {
			left++
		}
		if !tell(f) {
			return left, errEnough
		}
	}
	for _, name := range damaged {
		f := rpc.Finding{Name: name.String(), Msg: fmt.Sprintf("damaged: %s, the name of a key that is here", name)}
		if repair {
			f.Msg, f.Mended = n.mendName(ctx, name)
		}
		if !f.Mended {
			left++
		}
		if !tell(f) {
			return left, errEnough
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

// ownNames lists the names of the keys that are here, and those of them whose
// entry is damaged.
func (n *Node) ownNames(ctx context.Context) (own, damaged []ipns.Name, err error) {
	keys, err := n.keys.List()
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
	if n.router != nil {
		if err := n.takeNewest(ctx, name); err != nil {
			n.log.Warn("the network was not asked for a damaged name", "name", name, "err", err)
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
	for a, err := range n.router.Search(ctx, name) {
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
	_, err := n.book.Take(ctx, best, names.Entrance{Origin: recordstore.Own})
	return err
}

// mendOwn rebuilds the damaged entries of own names when the node starts, so that
// they are kept alive again.
func (n *Node) mendOwn(ctx context.Context) {
	_, damaged, err := n.ownNames(ctx)
	if err != nil {
		n.log.Warn("looking for damaged names", "err", err)
		return
	}
	for _, name := range damaged {
		msg, ok := n.mendName(ctx, name)
		n.log.Error("the entry of a name was damaged; 'ipns repo verify' looks for more", "name", name, "outcome", msg, "mended", ok)
	}
}
