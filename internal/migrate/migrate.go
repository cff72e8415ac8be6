// Package migrate makes a repo one of an older version.
//
// Going forward is one step of package repo, when its lock is taken: what older versions wrote is read as it is. Going
// back, what the older version does not know is written in its way first, while the repo is
// still one of the newer version, and only then does the version change. So whenever it is
// interrupted, the newer program opens the repo with all that was in it.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/repo"
	store "github.com/goipns/ipns/recordstore/pebble"
)

// ErrNotBack means that the repo has something that the older version cannot have. Nothing
// was changed.
var ErrNotBack = errors.New("the repo cannot go back")

// Back makes a repo of this version one of an older one. tell hears how many of the packs of
// blocks are done. Hold the lock.
func Back(ctx context.Context, r repo.Repo, to int, tell func(done, of int)) error {
	if err := mayGoBack(r); err != nil {
		return err
	}
	if err := unpack(ctx, r, tell); err != nil {
		return fmt.Errorf("take the blocks of %s out of packs: %w", string(r), err)
	}
	return r.SetVersion(to)
}

// mayGoBack returns an error if there is something that version 1 does not find.
func mayGoBack(r repo.Repo) error {
	at, _, err := r.NamesAt()
	if err != nil {
		return err
	}
	if at != "" {
		return fmt.Errorf("%w: its names are in %s", ErrNotBack, at)
	}
	keys, err := identity.Store(r, nil)
	if err != nil {
		return err
	}
	if keys.Cipher != nil {
		return fmt.Errorf("%w: its keys are encrypted", ErrNotBack)
	}
	return nil
}

// unpack makes all blocks loose.
func unpack(ctx context.Context, r repo.Repo, tell func(done, of int)) error {
	disk := &store.Disk{Dir: r.Database()}
	db, err := store.OpenDB(ctx, disk, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	err = content.Unpack(ctx, content.Options{DB: db, Dir: r.Database(), Writes: disk.Do, Freeing: disk.Freeing}, tell)
	return errors.Join(err, store.CloseDB(ctx, disk, db))
}
