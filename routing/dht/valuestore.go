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
	// errHoldsNewer is what a writer gets who lost the race for a key.
	errHoldsNewer = errors.New("a newer record is held")
	// errNoRoom is what a writer gets for a value that is the farthest from here
	// when there is no room.
	errNoRoom = errors.New("no room for what others put")
)

const (
	// valueNamespaces are the beginnings of the keys in a datastore.
	ipnsNamespace = "/ipns"
	pkNamespace   = "/pk"

	// ownMarks is the namespace of empty entries that tell a later process which
	// values this node put itself.
	ownMarks = "/own"

	// maxStored is more than any value takes that is taken now. Earlier versions
	// took larger ones.
	maxStored = ipns.MaxRecordSize + 512
)

// valueStore is where the records rest that this node's DHT server answers
// with. kad-dht validates before it writes; this layer holds four rules that
// must hold for every writer: a stored record never goes back, no matter which
// of kad-dht and this node's own Put comes first; one that has expired is not
// served; what others put stays within a budget, and nothing of it is kept but key,
// value and time; whoever asked to be is told of what others put here.
//
// The budget survives a crash: it is counted from the datastore, by load.
type valueStore struct {
	ds.Batching
	now      func() time.Time
	received func(*ipns.Record) // nil: nobody asked
	opener   *routing.Opener    // by which kad-dht has validated
	scarce   func() bool        // nothing more is to be taken from others
	log      *slog.Logger

	own     bool // this is the view for this node's own values
	budget  *budget
	senders *senders
	loaded  chan struct{} // closed when the budget counts what was here before
	mu      *sync.Mutex   // held from the comparison to the write of a record
}

// newValueStore returns the store for kad-dht, over which heard is told of every
// record, and the one for this node's own records. Both are the same store. Others
// wait until load has run.
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

// storedSize is how many bytes a record takes in the store beside its key.
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

// Put stores what kad-dht has validated and tells heard of it.
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

// swap stores r, which carries rec if it is of a name, unless what is there is
// newer or there is no room.
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
	// What a peer has added to the message is not kept.
	buf, err := proto.Marshal(&recpb.Record{Key: r.GetKey(), Value: r.GetValue(), TimeReceived: r.GetTimeReceived()})
	if err != nil {
		return fmt.Errorf("encoding a record: %w", err)
	}
	return s.write(ctx, key, r, buf)
}

// write makes room for a value and stores it. What goes is deleted before: a crash
// leaves less than the budget, never more.
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

// remove deletes what must go from the store.
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

// Delete removes a value that kad-dht found to be too old.
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

// load counts what an earlier process left, and deletes what is above the budget. It
// reads no value.
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
	for key := range marks { // of what a crash has left without a value
		if err == nil {
			err = s.unmark(ctx, key)
		}
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error("what others put here could not be counted", "err", err)
	}
}

// reload counts one value. It takes its mark from marks.
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
		return nil // it has been put since
	}
	return s.Batching.Delete(ctx, ownMark(ds.RawKey(key)))
}

// each calls f with the key and the size of all that has a prefix.
func (s *valueStore) each(ctx context.Context, prefix string, f func(key string, size int) error) error {
	return eachKey(ctx, s.Batching, prefix, f)
}

// eachKey calls f with the keys that have a prefix and the sizes of their values.
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

// base32Keys is how keys are written in the datastore.
var base32Keys = base32.StdEncoding.WithPadding(base32.NoPadding)

// dsKeyOf is where kad-dht keeps the value of a routing key.
func dsKeyOf(key string) ds.Key {
	namespace := pkNamespace
	if strings.HasPrefix(key, ipnsNamespace+"/") {
		namespace = ipnsNamespace
	}
	return ds.RawKey(namespace + "/" + base32Keys.EncodeToString([]byte(key)))
}

// recordKeyOf is the reverse of dsKeyOf.
func recordKeyOf(key string) (string, bool) {
	b, err := base32Keys.DecodeString(key[strings.LastIndexByte(key, '/')+1:])
	if err != nil || dsKeyOf(string(b)).String() != key {
		return "", false
	}
	return string(b), true
}

func isRecordKey(key ds.Key) bool { return strings.HasPrefix(key.String(), ipnsNamespace+"/") }

// decodeRecord returns the IPNS record inside a stored DHT record, or nil. Its
// signature was checked when it was stored.
func decodeRecord(buf []byte) *ipns.Record {
	var r recpb.Record
	if proto.Unmarshal(buf, &r) != nil {
		return nil
	}
	return recordOf(&r)
}

// recordOf returns the IPNS record inside a DHT record, or nil.
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
