package dht

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"google.golang.org/protobuf/proto"

	"github.com/goipns/ipns"
)

// errHoldsNewer is what a writer gets who lost the race for a key.
var errHoldsNewer = errors.New("a newer record is held")

// valueStore is where the records rest that this node's DHT server answers
// with. kad-dht validates before it writes; this layer holds three rules that
// must hold for every writer: a stored record never goes back, no matter which
// of kad-dht and this node's own Put comes first; one that has expired is not
// served; whoever asked to be is told of what others put here.
type valueStore struct {
	ds.Batching
	now   func() time.Time
	heard func(ipns.Name, []byte) // nil: nobody asked

	mu *sync.Mutex // held from the comparison to the write of a record
}

// newValueStore returns the store for kad-dht, over which heard is told of every
// record, and the one for this node's own records. Both are the same store.
func newValueStore(store ds.Batching, c Config) (theirs *valueStore, own *records.ValueStore) {
	theirs = &valueStore{Batching: store, now: c.now(), heard: c.Heard, mu: new(sync.Mutex)}
	quiet := *theirs
	quiet.heard = nil
	return theirs, records.NewValueStore(&quiet, Validator(c.Opener), amino.DefaultMaxRecordAge)
}

// Get returns the record under key unless it has expired.
func (s *valueStore) Get(ctx context.Context, key ds.Key) ([]byte, error) {
	buf, err := s.Batching.Get(ctx, key)
	if err != nil || !isRecordKey(key) {
		return buf, err
	}
	if rec := decodeRecord(buf); rec == nil || !s.now().Before(rec.EOL()) {
		return nil, ds.ErrNotFound
	}
	return buf, nil
}

// Put stores what kad-dht has validated and tells heard of it.
func (s *valueStore) Put(ctx context.Context, key ds.Key, buf []byte) error {
	if !isRecordKey(key) {
		return s.Batching.Put(ctx, key, buf)
	}
	rec := decodeRecord(buf)
	if rec == nil {
		return errors.New("not a record")
	}
	if err := s.swap(ctx, key, rec, buf); err != nil {
		return err
	}
	if s.heard != nil {
		s.heard(rec.Name(), rec.Raw())
	}
	return nil
}

// swap stores buf, which carries rec, unless what is there is newer.
func (s *valueStore) swap(ctx context.Context, key ds.Key, rec *ipns.Record, buf []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch old, err := s.Get(ctx, key); {
	case errors.Is(err, ds.ErrNotFound):
	case err != nil:
		return err
	default:
		if have := decodeRecord(old); have != nil && ipns.Compare(have, rec) > 0 {
			return errHoldsNewer
		}
	}
	return s.Batching.Put(ctx, key, buf)
}

func isRecordKey(key ds.Key) bool { return strings.HasPrefix(key.String(), "/ipns/") }

// decodeRecord returns the IPNS record inside a stored DHT record, or nil. Its
// signature was checked when it was stored.
func decodeRecord(buf []byte) *ipns.Record {
	var r recpb.Record
	if proto.Unmarshal(buf, &r) != nil {
		return nil
	}
	name, err := nameOfKey(string(r.GetKey()))
	if err != nil {
		return nil
	}
	rec, err := ipns.Load(name, r.GetValue())
	if err != nil {
		return nil
	}
	return rec
}
