package node

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/roads"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/pubsub"
)

// openPubsub starts IPNS over PubSub if c or the config wants it.
func (n *Node) openPubsub(c Config) error {
	wanted := n.Settings.Ipns.UsePubsub
	if c.Pubsub != nil {
		wanted = c.Pubsub
	}
	if wanted == nil || !*wanted {
		return nil
	}
	var err error
	n.Pubsub, err = pubsub.New(n.Host, pubsub.Config{
		Held:    n.vouched,
		Take:    n.takeFromPubsub,
		Provide: func(ctx context.Context, c cid.Cid) error { return n.Finder.Provide(ctx, c, true) },
		Find:    n.findListeners,
		File:    n.Repo.Pubsub(),
		Opener:  &n.Opener,
		Log:     n.Log,
	})
	if err != nil {
		return fmt.Errorf("start IPNS over PubSub: %w", err)
	}
	n.onClose(n.Pubsub.Close)
	stop := n.Book.Subscribe(func(c names.Change) {
		// Records signed here are put.
		if c.Entry.Record != nil && (c.Entry.Origin != recordstore.Own || c.Rival != nil) {
			n.Pubsub.Changed(c.Entry.Record)
		}
	})
	n.onClose(func() error { stop(); return nil })
	return nil
}

// vouched returns the Book's record of a name, if it may be announced.
func (n *Node) vouched(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	e, err := n.Book.Get(ctx, name)
	if errors.Is(err, recordstore.ErrNotFound) || err == nil && e.Record == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if current, err := n.Book.Current(ctx, e); err != nil || !current {
		return nil, err
	}
	rec, err := n.Opener.Open(name, e.Record.Raw())
	if errors.Is(err, ipns.ErrExpired) {
		return nil, nil
	}
	return rec, err
}

// takeFromPubsub enters a record into the Book, and reports whether the Book has no newer
// one.
func (n *Node) takeFromPubsub(ctx context.Context, rec *ipns.Record) (bool, error) {
	outcome, err := n.Book.Take(ctx, rec, names.Entrance{Origin: recordstore.Seen})
	if err != nil || outcome != names.Fork {
		return outcome != names.Older, err
	}
	mark, err := n.Book.Seen(ctx, rec.Name())
	return mark == recordstore.MarkOf(rec), err
}

// findListeners finds peers that subscribe to a topic: the providers of its CID.
func (n *Node) findListeners(ctx context.Context, c cid.Cid, most int) iter.Seq[peer.AddrInfo] {
	return func(yield func(peer.AddrInfo) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // and with it the search
		for p := range n.Finder.FindProvidersAsync(ctx, c, most) {
			if !yield(p) {
				return
			}
		}
	}
}

// networks returns the Router for all networks of the node; nil: none.
func (n *Node) networks() (routing.Router, error) {
	if n.Host == nil {
		return nil, nil
	}
	dhts := roads.DHTs{All: n.Network.Router()}
	dhts.WAN, dhts.LAN = n.Network.Routers()
	if n.Pubsub == nil { // and not an interface that holds nil
		return n.Roads.Router(dhts, nil)
	}
	return n.Roads.Router(dhts, n.Pubsub)
}
