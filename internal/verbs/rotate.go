package verbs

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/node"
)

// Rotate gives a node another key, which takes effect when it is opened again, and keeps the
// one it had under a label. A crash in between leaves the old key under both labels, and
// Rotate can be called again.
func Rotate(ctx context.Context, n *node.Node, label string, key crypto.PrivKey) (repo.Identity, error) {
	if n.Key == nil {
		return repo.Identity{}, fmt.Errorf("keep the old key as %q: %w", label, keystore.ErrLocked)
	}
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
