// Package records opens what a repo keeps: its database, and the store of names that its
// config names. That is in the database too, or in one of PostgreSQL that several daemons
// share; the database of the repo then has only content.
//
// Invariants:
//   - A repo uses one store of names. Once one in PostgreSQL was opened, the repo notes it
//     (repo.NamesAt), and its own is refused: names there are old, or none.
//   - A repo whose own store has names opens no other one: they would be left behind. [Move]
//     moves them.
//   - At most one store of those that a move is between is in use.
package records

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/goipns/ipns/internal/machine"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/recordstore"
	store "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/postgres"
)

var (
	// ErrElsewhere means that the names of the repo are in another store than the one asked
	// for.
	ErrElsewhere = errors.New("the names of this repo are elsewhere")
	// ErrLeft means that the repo has names in its own store, and another one is asked for.
	ErrLeft = errors.New("this repo has names of its own")
	// ErrMoving means that a move of the names was begun and is not complete.
	ErrMoving = errors.New("the names of this repo are being moved")
	// ErrAway means that the database of the names did not answer when it was opened.
	ErrAway = errors.New("the store was not opened")
)

// closeTimeout bounds how long Close waits for the disk.
const closeTimeout = 10 * time.Second

// Options say which store is opened, and how.
type Options struct {
	// Store is as Ipns.Store of the config; "": the names are in the repo.
	Store string
	// ReadOnFull opens a database on a full disk to read it.
	ReadOnFull bool
	// Freeing lets the database write with less free space than the reserve.
	Freeing bool
	Log     *slog.Logger // nil: nothing is logged
}

// Store is what a repo keeps. Close it.
type Store struct {
	recordstore.Database
	Disk *store.Disk
	DB   *pebble.DB // of content, and of names if they are in the repo
	// Own has the names if they are in the repo, else Shared.
	Own    *store.Store
	Shared *postgres.Store

	asked asked
}

// Open opens the store of a repo whose lock the caller holds. What is missing is made.
func Open(ctx context.Context, r repo.Repo, o Options) (s *Store, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s = &Store{Disk: &store.Disk{Dir: r.Database()}}
	if o.Freeing {
		s.Disk.Reserve = -1
	}
	if s.DB, err = openDB(ctx, s.Disk, o); err != nil {
		return nil, err
	}
	if err := s.open(ctx, r, o); err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	return s, nil
}

func openDB(ctx context.Context, disk *store.Disk, o Options) (*pebble.DB, error) {
	room := machine.Here()
	disk.Cache, disk.Files = room.DatabaseCache(), room.DatabaseFiles()
	db, err := store.OpenDB(ctx, disk, o.Log)
	if !o.ReadOnFull || !errors.Is(err, recordstore.ErrFull) {
		return db, err
	}
	db, rerr := store.ReadDB(disk, o.Log)
	if rerr != nil {
		return nil, errors.Join(err, rerr)
	}
	return db, nil
}

// open opens the store of names.
func (s *Store) open(ctx context.Context, r repo.Repo, o Options) error {
	at, isMoving, err := r.NamesAt()
	if err != nil {
		return err
	}
	if isMoving {
		return fmt.Errorf("%w to %s", ErrMoving, at)
	}
	if o.Store == "" && at != "" {
		return fmt.Errorf("%w: in %s", ErrElsewhere, at)
	}
	if err := repo.CheckStore(o.Store); err != nil {
		return fmt.Errorf("store of names: %w", err)
	}
	if at == "" {
		if s.Own, err = s.openOwn(r, o); err != nil {
			return err
		}
	}
	if o.Store == "" {
		s.Database = s.Own
		return nil
	}
	if at == "" {
		err := errors.Join(unused(ctx, s.Own), s.Own.Close())
		if s.Own = nil; err != nil {
			return err
		}
	}
	if s.Shared, err = openShared(ctx, o.Store, postgres.Options{Log: o.Log, Witness: r.SharedWitness()}); err != nil {
		return err
	}
	// Noted before anything is written: a crash in between leaves a repo that insists on a
	// store that has nothing of it yet, as a new one may.
	if shown := repo.ShownStore(o.Store); at != shown {
		if err := r.SetNamesAt(o.Store); err != nil {
			return errors.Join(err, s.Shared.Close())
		}
	}
	s.Database = s.Shared
	return nil
}

// openOwn opens the store in the database of the repo.
func (s *Store) openOwn(r repo.Repo, o Options) (*store.Store, error) {
	return store.New(s.DB, store.Options{Disk: s.Disk, Log: o.Log, Witness: r.Witness(), Outside: repo.WitnessPlaces()})
}

// openShared opens the store at a URL. Errors do not show its password.
func openShared(ctx context.Context, url string, o postgres.Options) (*postgres.Store, error) {
	s, err := postgres.Open(ctx, url, o)
	if err != nil {
		var bad *pgconn.ParseConfigError // shows more of the URL than it should
		if errors.As(err, &bad) {
			err = errors.Unwrap(bad)
		}
		if errors.Is(err, recordstore.ErrAway) && !isWrong(err) {
			err = fmt.Errorf("%w: %w", ErrAway, err)
		}
		return nil, fmt.Errorf("%s: %w", repo.ShownStore(url), err)
	}
	return s, nil
}

// unused returns ErrLeft if a store has names or rows.
func unused(ctx context.Context, s *store.Store) error {
	for _, err := range s.Scan(ctx, recordstore.Region{}) {
		return errors.Join(ErrLeft, err)
	}
	for _, err := range s.Rows().All(ctx) {
		return errors.Join(ErrLeft, err)
	}
	return nil
}

// isWrong reports whether a server has answered, and takes neither the user nor the name of the
// database: waiting does not help.
func isWrong(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && (server.Code == "3D000" || strings.HasPrefix(server.Code, "28"))
}

// Close closes the store of names, and then the database.
func (s *Store) Close() error { return errors.Join(s.Database.Close(), s.closeDB()) }

func (s *Store) closeDB() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return store.CloseDB(ctx, s.Disk, s.DB)
}

// With calls f with the store of a repo, which is closed when f returns.
func With(ctx context.Context, r repo.Repo, o Options, f func(*Store) error) error {
	s, err := Open(ctx, r, o)
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

// Salvage moves what can be read of the database of a repo to a new one, if that was begun or
// is forced; nil: it was not.
func Salvage(ctx context.Context, r repo.Repo, log *slog.Logger, force bool) (*store.Salvaged, error) {
	disk := &store.Disk{Dir: r.Database()}
	needed, err := store.NeedsSalvage(ctx, disk)
	if err != nil || !needed && !force {
		return nil, err
	}
	salvaged, err := store.Salvage(ctx, disk, log)
	if err != nil {
		return nil, err
	}
	return &salvaged, nil
}
