package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	cockroach "github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/bench/internal/contender"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/republisher"
)

// A store is a record store in a folder of its own, on a real disk, that counts
// for how long it was read. Its database is opened where it is used, in the
// bubble: real reads and writes take no virtual time there.
type store struct {
	*pebble.Store
	db   *cockroach.DB
	dir  string
	read time.Duration // in Due and Get, of real time
}

func openStore() (*store, error) {
	dir, err := os.MkdirTemp("", "sweep")
	if err != nil {
		return nil, err
	}
	disk := &pebble.Disk{Dir: filepath.Join(dir, "db")}
	db, err := pebble.OpenDB(context.Background(), disk, nil)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	records, err := pebble.New(db, pebble.Options{Disk: disk})
	if err != nil {
		return nil, errors.Join(err, db.Close(), os.RemoveAll(dir))
	}
	return &store{Store: records, db: db, dir: dir}, nil
}

func (s *store) close() error {
	return errors.Join(s.Store.Close(), s.db.Close(), os.RemoveAll(s.dir))
}

// fill enters the last records as those of own names that are due again.
func (s *store) fill(ctx context.Context, names []*contender.Name) error {
	const writers = 512 // share their syncs
	now := time.Now()
	last := now.Add(-republisher.DefaultOwnPeriod)
	g, ctx := errgroup.WithContext(ctx)
	for part := range slices.Chunk(names, len(names)/writers+1) {
		g.Go(func() error {
			var notes []recordstore.Upkeep
			for _, n := range part {
				rec := n.Last
				e := recordstore.Entry{
					Name: rec.Name(), Record: rec, Mark: recordstore.MarkOf(rec), Next: rec.Sequence() + 1,
					Origin: recordstore.Own, Changed: last,
				}
				if _, err := s.Swap(ctx, e, recordstore.Lease{}); err != nil {
					return err
				}
				notes = append(notes, recordstore.Upkeep{Name: e.Name, Due: now.Add(-time.Second), LastPut: last, Announced: rec.Hash()})
			}
			return s.SetUpkeep(ctx, notes...)
		})
	}
	return g.Wait()
}

// check fails unless it was noted of all names that somebody took them since.
func (s *store) check(ctx context.Context, names int, since time.Time) error {
	const year = 365 * 24 * time.Hour
	noted := 0
	for w, err := range s.Due(ctx, keyspace.Region{}, since.Add(year)) {
		if err != nil {
			return err
		}
		if u := w.Upkeep; u.Holders > 0 && !u.LastPut.Before(since) && u.Announced == w.Entry.Record.Hash() {
			noted++
		}
	}
	if noted != names {
		return fmt.Errorf("%d of %d names were put and noted", noted, names)
	}
	return nil
}

// Due implements recordstore.Store.
func (s *store) Due(ctx context.Context, region recordstore.Region, before time.Time) iter.Seq2[recordstore.Work, error] {
	return func(yield func(recordstore.Work, error) bool) {
		begin := realTime()
		for w, err := range s.Store.Due(ctx, region, before) {
			s.read += realTime() - begin
			if !yield(w, err) {
				return
			}
			begin = realTime()
		}
		s.read += realTime() - begin
	}
}

// Get implements recordstore.Store.
func (s *store) Get(ctx context.Context, name ipns.Name) (recordstore.Entry, error) {
	begin := realTime()
	defer func() { s.read += realTime() - begin }()
	return s.Store.Get(ctx, name)
}

// realTime is what the clock on the wall says. Package time does not, in a bubble.
func realTime() time.Duration {
	var t syscall.Timeval
	if err := syscall.Gettimeofday(&t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
