package node

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/records"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
)

func (n *Node) openDatabase(ctx, life context.Context, c Config) (err error) {
	o := records.Options{Store: n.Settings.Ipns.Store, ReadOnFull: c.ReadOnFull, Freeing: c.Freeing, Log: n.Log}
	if n.Records, err = records.Open(ctx, n.Repo, o); err != nil {
		return err
	}
	n.onClose(n.Records.Close)
	// Background work may still use the records after this; the networks that start such
	// work are closed first.
	n.onClose(n.waitForBackground)
	n.background(func() { n.stopWithDatabase(life) })
	n.Book = &names.Book{Store: n.Records.Database, Log: n.Log}
	return nil
}

// stopWithDatabase stops the node when the database can no longer be written: only the
// next start can tell what is on disk.
func (n *Node) stopWithDatabase(life context.Context) {
	select {
	case <-n.Records.Disk.Failed():
		n.Stop()
	case <-life.Done():
	}
}

// Init makes a repo with the given config, whose key was never used to publish. With a
// passphrase, its keys are encrypted from the beginning. It fails with [fs.ErrExist] if there
// is a repo already.
func Init(ctx context.Context, r repo.Repo, c repo.Config, passphrase []byte) error {
	name, err := ipns.ParseName(c.Identity.PeerID)
	if err != nil {
		return fmt.Errorf("make a repo: %w", err)
	}
	return InitFrom(ctx, r, c, passphrase, func(b *names.Book, _ *keystore.Store) error { return b.Create(ctx, name) })
}

// InitFrom is [Init] for a repo with keys that may have been used: fill enters what is known
// of their names into the Book, and keys into the keystore; nil: nothing.
//
// The config is written last: a crash before that leaves only entries, and the next Init
// makes the rest.
func InitFrom(ctx context.Context, r repo.Repo, c repo.Config, passphrase []byte, fill func(*names.Book, *keystore.Store) error) (err error) {
	if err := r.Make(); err != nil {
		return err
	}
	lock, _, err := r.LockOrAPI(ctx)
	if err != nil {
		return err
	}
	if lock == nil || r.Exists() {
		return errors.Join(&fs.PathError{Op: "make repo", Path: string(r), Err: fs.ErrExist}, lock.Unlock())
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	var keys *keystore.Store
	if c.Identity, keys, err = identity.Make(r, c.Identity, passphrase); err != nil {
		return fmt.Errorf("make a repo in %s: %w", string(r), err)
	}
	if fill == nil {
		fill = func(*names.Book, *keystore.Store) error { return nil }
	}
	err = records.With(ctx, r, records.Options{Store: c.Ipns.Store}, func(s *records.Store) error { return fill(&names.Book{Store: s}, keys) })
	if err != nil {
		return fmt.Errorf("make a repo in %s: %w", string(r), err)
	}
	return r.Create(c)
}

// Identity returns the key of self as it is in the config of a repo.
func Identity(key crypto.PrivKey) (repo.Identity, error) {
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		return repo.Identity{}, err
	}
	b, err := ipns.MarshalPrivateKey(key)
	if err != nil {
		return repo.Identity{}, err
	}
	return repo.Identity{PeerID: name.PeerID().String(), PrivKey: base64.StdEncoding.EncodeToString(b)}, nil
}
