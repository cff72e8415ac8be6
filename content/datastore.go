package content

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-datastore"
	pebbleds "github.com/ipfs/go-ds-pebble"
)

// Datastore presents db as a datastore, for a [Store] and for others that need one, such as a DHT. Its keys begin with
// '/'. Writes are durable only after a Sync. Close leaves db open, since it belongs to the caller: it waits for running
// reads and writes, and makes later ones fail. Queries must have ended before.
//
// Its writes are run by w; nil: they are not wrapped.
func Datastore(db *pebble.DB, w Writes) (datastore.Batching, error) { return openShared(db, w) }

func openShared(db *pebble.DB, w Writes) (*shared, error) {
	d, err := pebbleds.NewDatastore("", pebbleds.WithPebbleDB(db))
	if err != nil {
		return nil, fmt.Errorf("datastore over pebble: %w", err)
	}
	return &shared{Datastore: d, writes: w}, nil
}

// Writes runs a write to the database. It may refuse the write, and it may return an error before the write has ended:
// what the write uses then belongs to it. Whoever closes the database waits for it.
type Writes func(ctx context.Context, write func() error) error

var errClosed = errors.New("datastore is closed")

// shared keeps the adapter's Close away from a database that others use, and late reads away from one that is about to
// be closed: a file reader prefetches, and its Close does not wait for that.
type shared struct {
	*pebbleds.Datastore
	writes Writes // nil: writes are not wrapped
	free   Writes // runs what frees space; nil: as writes

	mu     sync.RWMutex // held for reading by all that goes on; guards closed
	closed bool
}

func (s *shared) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// enter begins an operation, which Close waits for until leave.
func (s *shared) enter() (leave func(), err error) {
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, errClosed
	}
	return s.mu.RUnlock, nil
}

func (s *shared) Get(ctx context.Context, key datastore.Key) ([]byte, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.Datastore.Get(ctx, key)
}

func (s *shared) Has(ctx context.Context, key datastore.Key) (bool, error) {
	leave, err := s.enter()
	if err != nil {
		return false, err
	}
	defer leave()
	return s.Datastore.Has(ctx, key)
}

func (s *shared) GetSize(ctx context.Context, key datastore.Key) (int, error) {
	leave, err := s.enter()
	if err != nil {
		return -1, err
	}
	defer leave()
	return s.Datastore.GetSize(ctx, key)
}

// freesKey is in the context of what frees space, or is needed for that.
type freesKey struct{}

// write runs a write to the database. Close waits for it only if no one else does: it must not wait for a full disk.
func (s *shared) write(ctx context.Context, f func() error) error {
	writes := s.writes
	if s.free != nil && ctx.Value(freesKey{}) != nil {
		writes = s.free
	}
	if writes == nil {
		leave, err := s.enter()
		if err != nil {
			return err
		}
		defer leave()
		return f()
	}
	return writes(ctx, func() error {
		leave, err := s.enter()
		if err != nil {
			return err
		}
		leave()
		return f()
	})
}

func (s *shared) Put(ctx context.Context, key datastore.Key, value []byte) error {
	return s.write(ctx, func() error { return s.Datastore.Put(ctx, key, value) })
}

func (s *shared) Delete(ctx context.Context, key datastore.Key) error {
	return s.write(ctx, func() error { return s.Datastore.Delete(ctx, key) })
}

func (s *shared) Sync(ctx context.Context, prefix datastore.Key) error {
	return s.write(ctx, func() error { return s.Datastore.Sync(ctx, prefix) })
}

func (s *shared) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := s.Datastore.Batch(ctx)
	if err != nil {
		return nil, err
	}
	return batch{b, s}, nil
}

// batch is a batch of writes, run when it is committed.
type batch struct {
	datastore.Batch
	to *shared
}

func (b batch) Commit(ctx context.Context) error {
	return b.to.write(ctx, func() error { return b.Batch.Commit(ctx) })
}
