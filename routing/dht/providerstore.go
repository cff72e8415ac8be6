package dht

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/internal/keyspace"
)

// providerStore stores provider records. kad-dht writes them in batches, under keys
// that contain content and provider; a peer can name only itself as the provider.
// The records of other peers stay within a budget. Records beyond it are silently
// dropped, because kad-dht would retry after an error. This node's own provider
// records are not counted.
type providerStore struct {
	ds.Batching
	self   peer.ID
	scarce func() bool
	log    *slog.Logger
	budget *budget
	loaded chan struct{}
}

func newProviderStore(store ds.Batching, self peer.ID, c Config) *providerStore {
	return &providerStore{
		Batching: store, self: self, scarce: c.scarce(), log: c.log(), loaded: make(chan struct{}),
		budget: newBudget(self, c.Providers.or(DefaultProviderLimit), func(key string) keyspace.Key {
			content, _ := splitProvided(key)
			return keyspace.KeyOf([]byte(content))
		}),
	}
}

// The key of a provider record in its budget is the length of the content's multihash,
// the multihash, and the provider.

func splitProvided(key string) (content, provider string) {
	n := int(key[0])
	return key[1 : 1+n], key[1+n:]
}

func provided(key string) (string, bool) {
	content, provider, ok := strings.Cut(strings.TrimPrefix(key, records.ProvidersKeyPrefix), "/")
	c, err := base32Keys.DecodeString(content)
	if !ok || err != nil || len(c) == 0 || len(c) > 255 {
		return "", false
	}
	p, err := base32Keys.DecodeString(provider)
	if err != nil || len(p) == 0 {
		return "", false
	}
	return string(byte(len(c))) + string(c) + string(p), true
}

func providedKey(key string) ds.Key {
	content, provider := splitProvided(key)
	return ds.RawKey(records.ProvidersKeyPrefix + base32Keys.EncodeToString([]byte(content)) + "/" + base32Keys.EncodeToString([]byte(provider)))
}

// providedSize returns how many bytes a record takes in the store in addition to name.
func providedSize(key, name string) int {
	const timeBytes = 9
	return len(key) + timeBytes - len(name)
}

// Put stores a record through a batch.
func (s *providerStore) Put(ctx context.Context, key ds.Key, value []byte) error {
	b, err := s.Batch(ctx)
	if err != nil {
		return err
	}
	if err := b.Put(ctx, key, value); err != nil {
		return err
	}
	return b.Commit(ctx)
}

// Delete removes a record that kad-dht found expired.
func (s *providerStore) Delete(ctx context.Context, key ds.Key) error {
	s.drop(key)
	return s.Batching.Delete(ctx, key)
}

func (s *providerStore) drop(key ds.Key) {
	if name, ok := provided(key.String()); ok {
		s.budget.drop(name)
	}
}

// Batch returns a batch that enforces the budget.
func (s *providerStore) Batch(ctx context.Context) (ds.Batch, error) {
	b, err := s.Batching.Batch(ctx)
	if err != nil {
		return nil, err
	}
	return &providerBatch{Batch: b, store: s}, nil
}

type providerBatch struct {
	ds.Batch
	store *providerStore
}

func (b *providerBatch) Put(ctx context.Context, key ds.Key, value []byte) error {
	s := b.store
	name, ok := provided(key.String())
	if !ok {
		return fmt.Errorf("%s is not the key of a provider record", key)
	}
	_, provider := splitProvided(name)
	if provider == string(s.self) {
		return b.Batch.Put(ctx, key, value)
	}
	select {
	case <-s.loaded:
	default:
		return nil // the provider will send it again
	}
	if s.scarce() {
		return nil
	}
	gone, ok := s.budget.admit(name, providedSize(key.String(), name), peerHash(peer.ID(provider)), false)
	if !ok {
		return nil
	}
	for _, k := range gone {
		if err := b.Batch.Delete(ctx, providedKey(k.key)); err != nil {
			return err
		}
	}
	return b.Batch.Put(ctx, key, value)
}

func (b *providerBatch) Delete(ctx context.Context, key ds.Key) error {
	b.store.drop(key)
	return b.Batch.Delete(ctx, key)
}

// load counts the records of earlier processes and deletes those beyond the budget.
func (s *providerStore) load(ctx context.Context) {
	defer close(s.loaded)
	err := eachKey(ctx, s.Batching, records.ProvidersKeyPrefix, func(key string, _ int) error {
		name, ok := provided(key)
		if !ok {
			return s.Batching.Delete(ctx, ds.RawKey(key))
		}
		_, provider := splitProvided(name)
		if provider == string(s.self) {
			return nil
		}
		for _, k := range s.budget.count(name, providedSize(key, name), peerHash(peer.ID(provider)), false) {
			if err := s.Batching.Delete(ctx, providedKey(k.key)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.log.Error("provider records in the store could not be counted", "err", err)
	}
}
