package node

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	store "github.com/goipns/ipns/recordstore/pebble"
)

func (n *Node) openDatabase(ctx, life context.Context, c Config) (err error) {
	n.disk = &store.Disk{Dir: n.Repo.Database()}
	if c.Freeing {
		n.disk.Reserve = -1
	}
	if n.db, err = openDB(ctx, n.disk, n.Log, c.ReadOnFull); err != nil {
		return err
	}
	n.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		return store.CloseDB(ctx, n.disk, n.db)
	})
	n.records, err = store.New(n.db, store.Options{Disk: n.disk, Log: n.Log, Witness: n.Repo.Witness(), Outside: repo.WitnessPlaces()})
	if err != nil {
		return err
	}
	n.onClose(n.records.Close)
	// Background work may still use the records after this; the networks that start such
	// work are closed first.
	n.onClose(n.waitForBackground)
	n.background(func() { n.stopWithDatabase(life) })
	n.Book = &names.Book{Store: n.records, Log: n.Log}
	return nil
}

func openDB(ctx context.Context, disk *store.Disk, log *slog.Logger, readOnFull bool) (*pebble.DB, error) {
	db, err := store.OpenDB(ctx, disk, log)
	if !readOnFull || !errors.Is(err, recordstore.ErrFull) {
		return db, err
	}
	db, rerr := store.ReadDB(disk, log)
	if rerr != nil {
		return nil, errors.Join(err, rerr)
	}
	return db, nil
}

// stopWithDatabase stops the node when the database can no longer be written: only the
// next start can tell what is on disk.
func (n *Node) stopWithDatabase(life context.Context) {
	select {
	case <-n.disk.Failed():
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
	if err := withBook(ctx, r, func(b *names.Book) error { return fill(b, keys) }); err != nil {
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

// withBook calls fill with the Book of a repo, which is closed when it returns.
func withBook(ctx context.Context, r repo.Repo, fill func(*names.Book) error) error {
	return WithStore(ctx, r, func(s *store.Store) error { return fill(&names.Book{Store: s}) })
}

// WithStore calls f with the store of names of a repo, which is made if it is missing and
// closed when f returns. The caller holds the lock of the repo.
func WithStore(ctx context.Context, r repo.Repo, f func(*store.Store) error) (err error) {
	disk := &store.Disk{Dir: r.Database()}
	log := slog.New(slog.DiscardHandler)
	db, err := store.OpenDB(ctx, disk, log)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		err = errors.Join(err, store.CloseDB(ctx, disk, db))
	}()
	records, err := store.New(db, store.Options{Disk: disk, Log: log, Witness: r.Witness(), Outside: repo.WitnessPlaces()})
	if err != nil {
		return err
	}
	return errors.Join(f(records), records.Close())
}
