package move

import (
	"context"
	"errors"
	"fmt"

	"github.com/goipns/ipns/internal/kubo"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/recordstore"
)

// Out writes the keys of a repo, with their records, into a Kubo repo.
func Out(ctx context.Context, from repo.Repo, passphrase []byte, to string) (*Report, error) {
	report := new(Report)
	err := withNode(ctx, from, passphrase, func(n *node.Node) error {
		all, err := given(ctx, n, report)
		if err != nil {
			return err
		}
		older, err := kubo.Export(to, all)
		for _, g := range older {
			report.leave("the record of %q: %s has a newer one", g.Label, to)
		}
		return err
	})
	return report, err
}

// given returns all keys with their records.
func given(ctx context.Context, n *node.Node, report *Report) ([]kubo.Given, error) {
	if n.Identity.Locked() {
		return nil, keystore.ErrLocked
	}
	keys, err := n.Keys.List()
	if err != nil {
		return nil, err
	}
	var all []kubo.Given
	for _, key := range keys {
		if key.Err != nil {
			report.fail("key %q: %v", key.Label, key.Err)
			continue
		}
		g := kubo.Given{Key: kubo.Key{Label: key.Label, Name: key.Name, Priv: n.Key}}
		if key.Label != keystore.Self {
			if g.Priv, err = n.Identity.Store.Get(key.Label); err != nil {
				return nil, err
			}
		}
		e, err := n.Book.Get(ctx, key.Name)
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
			return nil, fmt.Errorf("read the record of %q: %w", key.Label, err)
		}
		g.Record = e.Record
		if next := e.Next; next > 0 && (g.Record == nil || g.Record.Sequence()+1 < next) {
			report.leave("a sequence of %q that was used, but whose record is not here: publish with 'ipfs name publish --key=%s --sequence=%d' first", key.Label, key.Label, next)
		}
		all = append(all, g)
		report.Names = append(report.Names, Name{key.Label, key.Name, e.Record})
	}
	return all, nil
}
