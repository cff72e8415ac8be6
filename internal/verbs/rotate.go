package verbs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/sharedkeys"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/node"
)

// Rotate gives a node another key, which takes effect when it is opened again, and keeps the
// one it had under a label. A crash in between leaves the old key under both labels, and
// Rotate can be called again.
//
// Keys that are shared with the node are encrypted to the old key. Rotate returns those that
// the node has no copy of: it has them no longer. It refuses to lose one that is shared with
// nobody else.
func Rotate(ctx context.Context, n *node.Node, label string, key crypto.PrivKey) (repo.Identity, []sharedkeys.Shared, error) {
	if n.Key == nil {
		return repo.Identity{}, nil, fmt.Errorf("keep the old key as %q: %w", label, keystore.ErrLocked)
	}
	lost, err := onlyShared(ctx, n)
	if err != nil {
		return repo.Identity{}, nil, err
	}
	for _, s := range lost {
		if len(s.To) == 1 {
			return repo.Identity{}, nil, fmt.Errorf("the key of %s would be lost: it is shared as %q with this node alone, by the key that is replaced", s.Name, s.Label)
		}
	}
	id, err := rotate(ctx, n, label, key)
	return id, lost, err
}

// onlyShared returns the keys that a node can use only because they are shared with it.
func onlyShared(ctx context.Context, n *node.Node) ([]sharedkeys.Shared, error) {
	list, err := n.SharedKeys.List(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(s sharedkeys.Shared) bool {
		_, err := n.Keys.Of(s.Name)
		return err == nil || !s.Here
	}), nil
}

func rotate(ctx context.Context, n *node.Node, label string, key crypto.PrivKey) (repo.Identity, error) {
	id, err := node.Identity(key)
	if err != nil {
		return id, err
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		return id, err
	}
	if err := n.Book.Create(ctx, name); err != nil {
		return id, err
	}
	_, err = n.Keys.Import(label, n.Key)
	if errors.Is(err, keystore.ErrExist) {
		if there, _ := n.Keys.Labelled(label); there.Name == n.Name {
			err = nil // a crash left it
		}
	}
	if err != nil {
		return id, fmt.Errorf("keep the old key as %q: %w", label, err)
	}
	return id, n.Identity.SetSelf(id, key)
}
