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

// Datastore shows db as a datastore, for a [Store] and for others that need one, such as a DHT. Its keys begin with
// '/'. Writes are durable only after a Sync. Its Close leaves db open, since it belongs to the caller: it waits for
// the reads and writes that are going on, and fails those that come later. Queries must be ended before.
func Datastore(db *pebble.DB) (datastore.Batching, error) {
	d, err := pebbleds.NewDatastore("", pebbleds.WithPebbleDB(db))
	if err != nil {
		return nil, fmt.Errorf("datastore over pebble: %w", err)
	}
	return &shared{Datastore: d}, nil
}

var errClosed = errors.New("datastore is closed")

// shared keeps the adapter's Close away from a database that others use, and
// what still reads away from a database that is about to be closed: a reader of
// files fetches ahead, and does not wait for that when it is closed itself.
type shared struct {
	*pebbleds.Datastore

	mu     sync.RWMutex // held for reading by all that goes on; guards closed
	closed bool
}

func (s *shared) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// enter begins something that Close waits for, until leave.
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

func (s *shared) Put(ctx context.Context, key datastore.Key, value []byte) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	return s.Datastore.Put(ctx, key, value)
}

func (s *shared) Delete(ctx context.Context, key datastore.Key) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	return s.Datastore.Delete(ctx, key)
}
