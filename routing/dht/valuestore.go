package dht

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing"
)

var (
	// errHoldsNewer says that the stored record is newer than the one to write.
	errHoldsNewer = errors.New("a newer record is held")
	// errNoRoom says that the budget is exhausted and the value is the farthest from
	// this node.
	errNoRoom = errors.New("no room for values from other peers")
)

const (
	// Prefixes of the keys in the datastore.
	ipnsNamespace = "/ipns"
	pkNamespace   = "/pk"

	// ownMarks is the prefix of empty entries that mark the values that this node put
	// itself, so that a later process knows them.
	ownMarks = "/own"

	// maxStored is above the size of any value accepted now. Earlier versions accepted
	// larger ones.
	maxStored = ipns.MaxRecordSize + 512
)

// valueStore stores the records that this node's DHT server serves. kad-dht validates
// before it writes. This layer enforces four rules for every writer:
//
//   - A record is never replaced by an older one, whether kad-dht or this node's own
//     Put writes first.
//   - An expired record is not served.
//   - What other peers put stays within a budget, and only its key, value and time are
//     stored.
//   - Config.Received is called with each record that other peers put.
//
// The budget survives a crash: load counts the datastore.
type valueStore struct {
	ds.Batching
	now      func() time.Time
	received func(*ipns.Record) // see Config.Received; may be nil
	opener   *routing.Opener    // the one that kad-dht's validator uses
	scarce   func() bool        // see Config.Scarce
	log      *slog.Logger

	own     bool // for this node's own values
	budget  *budget
	senders *senders
	loaded  chan struct{} // closed when load has counted the datastore
	mu      *sync.Mutex   // held from comparing a record to writing it
}

// newValueStore returns the store for kad-dht, which calls received with every record,
// and the one for this node's own records, which does not. Both share one datastore.
// Writes by kad-dht wait until load has run.
func newValueStore(store ds.Batching, self peer.ID, c Config) (theirs *valueStore, own *records.ValueStore) {
	theirs = &valueStore{
		Batching: store, now: c.now(), received: c.Received, opener: c.Opener, scarce: c.scarce(), log: c.log(),
		budget:  newBudget(self, c.Values.or(DefaultValueLimit), func(key string) keyspace.Key { return keyspace.KeyOf([]byte(key)) }),
		senders: new(senders), loaded: make(chan struct{}), mu: new(sync.Mutex),
	}
	quiet := *theirs
	quiet.own, quiet.received = true, nil
	return theirs, records.NewValueStore(&quiet, Validator(c.Opener), amino.DefaultMaxRecordAge)
}

// storedSize returns how many bytes a record takes in the store, without its key.
func storedSize(rec *recpb.Record) int {
	const timeAndTags = 48
	return len(rec.GetKey()) + len(rec.GetValue()) + timeAndTags
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

// Put stores a value that kad-dht has validated, and calls received if it is a record.
func (s *valueStore) Put(ctx context.Context, key ds.Key, buf []byte) error {
	var r recpb.Record
	if err := proto.Unmarshal(buf, &r); err != nil {
		return fmt.Errorf("decoding a record: %w", err)
	}
	if dsKeyOf(string(r.GetKey())) != key {
		return errors.New("not the key of the record")
	}
	if !s.own {
		select {
		case <-s.loaded:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	rec := recordOf(&r)
	if rec == nil && isRecordKey(key) {
		return errors.New("not a record")
	}
	if err := s.swap(ctx, key, rec, &r); err != nil {
		return err
	}
	if s.received != nil && rec != nil {
		if opened, err := s.opener.Open(rec.Name(), rec.Raw()); err == nil {
			s.received(opened)
		}
	}
	return nil
}

// swap stores r, unless the stored record is newer or there is no room. rec is the
// IPNS record in r, or nil.
func (s *valueStore) swap(ctx context.Context, key ds.Key, rec *ipns.Record, r *recpb.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec != nil {
		switch old, err := s.Get(ctx, key); {
		case errors.Is(err, ds.ErrNotFound):
		case err != nil:
			return err
		default:
			if have := decodeRecord(old); have != nil && ipns.Compare(have, rec) > 0 {
				return errHoldsNewer
			}
		}
	}
	// Drop anything that a peer has added to the message.
	buf, err := proto.Marshal(&recpb.Record{Key: r.GetKey(), Value: r.GetValue(), TimeReceived: r.GetTimeReceived()})
	if err != nil {
		return fmt.Errorf("encoding a record: %w", err)
	}
	return s.write(ctx, key, r, buf)
}

// write makes room for a value and stores it. It deletes displaced values first, so
// that a crash never leaves more than the budget allows.
func (s *valueStore) write(ctx context.Context, key ds.Key, r *recpb.Record, buf []byte) error {
	name, who := string(r.GetKey()), uint64(0)
	if !s.own {
		who = s.senders.of(r.GetKey(), r.GetValue())
	}
	marked := !s.own || s.budget.isOwn(name)
	gone, ok := s.budget.admit(name, storedSize(r), who, s.own)
	if !ok {
		return errNoRoom
	}
	err := s.remove(ctx, gone)
	if err == nil && !marked {
		err = s.Batching.Put(ctx, ownMark(key), nil)
	}
	if err == nil {
		err = s.Batching.Put(ctx, key, buf)
	}
	return err
}

// remove deletes displaced values from the store.
func (s *valueStore) remove(ctx context.Context, gone []*kept) error {
	var errs []error
	for _, k := range gone {
		key := dsKeyOf(k.key)
		errs = append(errs, s.Batching.Delete(ctx, key))
		if k.own {
			errs = append(errs, s.Batching.Delete(ctx, ownMark(key)))
		}
	}
	return errors.Join(errs...)
}

// Delete removes a value that kad-dht found expired.
func (s *valueStore) Delete(ctx context.Context, key ds.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := recordKeyOf(key.String()); ok && s.budget.drop(name) {
		if err := s.Batching.Delete(ctx, ownMark(key)); err != nil {
			return err
		}
	}
	return s.Batching.Delete(ctx, key)
}

// load counts the values of earlier processes and deletes those beyond the budget. It
// reads keys and sizes only.
func (s *valueStore) load(ctx context.Context) {
	defer close(s.loaded)
	marks := make(map[string]bool)
	err := s.each(ctx, ownMarks, func(key string, _ int) error {
		if len(marks) < s.budget.limit.Count {
			marks[strings.TrimPrefix(key, ownMarks)] = true
		}
		return nil
	})
	for _, namespace := range []string{ipnsNamespace, pkNamespace} {
		if err == nil {
			err = s.each(ctx, namespace, func(key string, size int) error { return s.reload(ctx, key, size, marks) })
		}
	}
	for key := range marks { // marks without a value, left by a crash
		if err == nil {
			err = s.unmark(ctx, key)
		}
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error("values in the store could not be counted", "err", err)
	}
}

// reload counts one value and removes its mark from marks.
func (s *valueStore) reload(ctx context.Context, key string, size int, marks map[string]bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := marks[key]
	delete(marks, key)
	name, ok := recordKeyOf(key)
	if !ok || size > maxStored+len(name) {
		return s.Batching.Delete(ctx, ds.RawKey(key))
	}
	return s.remove(ctx, s.budget.count(name, size, 0, own))
}

func (s *valueStore) unmark(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := recordKeyOf(key); ok && s.budget.isOwn(name) {
		return nil // it has been put again since
	}
	return s.Batching.Delete(ctx, ownMark(ds.RawKey(key)))
}

// each calls f with the key and value size of each entry with the prefix.
func (s *valueStore) each(ctx context.Context, prefix string, f func(key string, size int) error) error {
	return eachKey(ctx, s.Batching, prefix, f)
}

// eachKey calls f with the key and value size of each entry with the prefix.
func eachKey(ctx context.Context, store ds.Datastore, prefix string, f func(key string, size int) error) error {
	found, err := store.Query(ctx, query.Query{Prefix: prefix, KeysOnly: true, ReturnsSizes: true})
	if err != nil {
		return err
	}
	defer found.Close()
	for e := range found.Next() {
		if e.Error != nil {
			return e.Error
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(e.Key, e.Size); err != nil {
			return err
		}
	}
	return nil
}

func ownMark(key ds.Key) ds.Key { return ds.RawKey(ownMarks + key.String()) }

// base32Keys is the encoding of keys in the datastore.
var base32Keys = base32.StdEncoding.WithPadding(base32.NoPadding)

// dsKeyOf returns the datastore key under which kad-dht stores a routing key's value.
func dsKeyOf(key string) ds.Key {
	namespace := pkNamespace
	if strings.HasPrefix(key, ipnsNamespace+"/") {
		namespace = ipnsNamespace
	}
	return ds.RawKey(namespace + "/" + base32Keys.EncodeToString([]byte(key)))
}

// recordKeyOf is the inverse of dsKeyOf.
func recordKeyOf(key string) (string, bool) {
	b, err := base32Keys.DecodeString(key[strings.LastIndexByte(key, '/')+1:])
	if err != nil || dsKeyOf(string(b)).String() != key {
		return "", false
	}
	return string(b), true
}

func isRecordKey(key ds.Key) bool { return strings.HasPrefix(key.String(), ipnsNamespace+"/") }

// decodeRecord returns the IPNS record in a stored DHT record, or nil. Its signature was
// verified when it was stored.
func decodeRecord(buf []byte) *ipns.Record {
	var r recpb.Record
	if proto.Unmarshal(buf, &r) != nil {
		return nil
	}
	return recordOf(&r)
}

// recordOf returns the IPNS record in a DHT record, or nil.
func recordOf(r *recpb.Record) *ipns.Record {
	name, err := nameOfRoutingKey(string(r.GetKey()))
	if err != nil {
		return nil
	}
	rec, err := ipns.Load(name, r.GetValue())
	if err != nil {
		return nil
	}
	return rec
}
