package dht

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/goipns/ipns"
)

// testStores opens the value store over a datastore as New does.
func testStores(t *testing.T, disk ds.Batching, c Config) (theirs *valueStore, others, own *records.ValueStore) {
	t.Helper()
	theirs, own = newValueStore(disk, testID(1), c)
	theirs.load(t.Context())
	return theirs, records.NewValueStore(theirs, Validator(nil), amino.DefaultMaxRecordAge), own
}

// testRecord returns a record of a new name in the form in which it is put.
func testRecord(t *testing.T) *recpb.Record {
	t.Helper()
	priv, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := ipns.Sign(context.Background(), ipns.NewSigner(priv), ipns.Fields{
		Value: "/ipfs/bafkqabtimvwgy3yk", EOL: time.Now().Add(time.Hour), TTL: time.Minute,
	}, ipns.V2Only)
	if err != nil {
		t.Fatal(err)
	}
	return &recpb.Record{Key: rec.Name().RoutingKey(), Value: rec.Raw()}
}

// stored returns the entries of a datastore under a prefix.
func stored(t *testing.T, disk ds.Datastore, prefix string) []query.Entry {
	t.Helper()
	found, err := disk.Query(t.Context(), query.Query{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	all, err := found.Rest()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestOnlyKeyValueAndTimeAreStored(t *testing.T) {
	disk := dssync.MutexWrap(ds.NewMapDatastore())
	_, others, _ := testStores(t, disk, Config{})
	rec := testRecord(t)
	rec.ProtoReflect().SetUnknown(append([]byte{15<<3 | 2, 0x80, 0x80, 0x04}, make([]byte, 1<<16)...))
	if err := others.Put(t.Context(), string(rec.Key), rec); err != nil {
		t.Fatal(err)
	}
	all := stored(t, disk, "/ipns")
	if len(all) != 1 || len(all[0].Value) > len(rec.Key)+len(rec.Value)+64 {
		t.Errorf("%d values, the first of %d bytes, for a record of %d", len(all), len(all[0].Value), len(rec.Value))
	}
	got, err := others.Get(t.Context(), string(rec.Key))
	if err != nil || !bytes.Equal(got.GetValue(), rec.Value) || got.GetTimeReceived() == "" || len(got.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestPublicKeyWithMoreBehindItIsRefused(t *testing.T) {
	_, others, _ := testStores(t, dssync.MutexWrap(ds.NewMapDatastore()), Config{})
	for _, typ := range []ipns.KeyType{ipns.Ed25519, ipns.Secp256k1, ipns.RSA} {
		priv, err := ipns.GenerateKey(typ, 0)
		if err != nil {
			t.Fatal(err)
		}
		value, err := ipns.MarshalPublicKey(priv.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		name, err := ipns.NameOf(priv.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		key := "/pk/" + string(name.Binary())
		for _, junk := range []int{1, 1000, 100_000} {
			padded := append(bytes.Clone(value), 15<<3|2, byte(junk))
			padded = append(padded, make([]byte, junk)...)
			if err := others.Put(t.Context(), key, &recpb.Record{Key: []byte(key), Value: padded}); err == nil {
				t.Errorf("%v with %d bytes behind it was accepted", typ, junk)
			}
		}
		if err := others.Put(t.Context(), key, &recpb.Record{Key: []byte(key), Value: value}); err != nil {
			t.Errorf("%v: %v", typ, err)
		}
	}
}

// The next process counts the stored values again, even if this one was killed: the
// datastore is the only state.
func TestBudgetIsCountedAgainAfterACrash(t *testing.T) {
	disk := dssync.MutexWrap(ds.NewMapDatastore())
	c := Config{Values: Limit{Count: 20}}
	theirs, others, own := testStores(t, disk, c)
	mine := testRecord(t)
	if err := own.Put(t.Context(), string(mine.Key), mine); err != nil {
		t.Fatal(err)
	}
	flood := func(others *records.ValueStore) {
		for range 40 {
			rec := testRecord(t)
			if err := others.Put(t.Context(), string(rec.Key), rec); err != nil && !errors.Is(err, errNoRoom) {
				t.Fatal(err)
			}
		}
	}
	flood(others)
	if n := len(stored(t, disk, "/ipns")); n != len(theirs.budget.byKey) || n > 21 || n < 11 {
		t.Fatalf("%d values are stored, %d are known", n, len(theirs.budget.byKey))
	}
	bytesOf := func(s *valueStore) int64 { return s.budget.theirs.bytes + s.budget.our.bytes }
	before := bytesOf(theirs)

	theirs, others, _ = testStores(t, disk, c)
	if got := bytesOf(theirs); !theirs.budget.isOwn(string(mine.Key)) || got > before || got < before-before/8 {
		t.Errorf("counted %d bytes, and own is own: %v; want %d", got, theirs.budget.isOwn(string(mine.Key)), before)
	}
	flood(others)
	c.Values.Count = 5 // a smaller limit
	theirs, others, _ = testStores(t, disk, c)
	flood(others)
	if n := len(stored(t, disk, "/ipns")); n != 6 || len(theirs.budget.byKey) != 6 {
		t.Errorf("%d values are stored, %d are known, want 5 and this node's own", n, len(theirs.budget.byKey))
	}
	if got, err := others.Get(t.Context(), string(mine.Key)); err != nil || got == nil {
		t.Errorf("this node's own is gone: %v", err)
	}
	// A mark that a crash has left behind, and values that were taken earlier.
	for _, key := range []ds.Key{ownMark(dsKeyOf("/ipns/x")), ds.RawKey("/ipns/lower")} {
		if err := disk.Put(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	large := proto.CloneOf(mine)
	large.Key, large.Value = []byte("/pk/large"), make([]byte, 1<<20)
	buf, err := proto.Marshal(large)
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Put(t.Context(), dsKeyOf("/pk/large"), buf); err != nil {
		t.Fatal(err)
	}
	testStores(t, disk, c)
	if n := len(stored(t, disk, "/")); n != 7 {
		t.Errorf("%d entries are left, want 6 values and a mark", n)
	}
}

func TestRefusedValueLeavesTheOlderOne(t *testing.T) {
	disk := dssync.MutexWrap(ds.NewMapDatastore())
	theirs, others, _ := testStores(t, disk, Config{Values: Limit{Bytes: 3000}})
	rec := testRecord(t)
	if err := others.Put(t.Context(), string(rec.Key), rec); err != nil {
		t.Fatal(err)
	}
	big := proto.CloneOf(rec)
	big.Value = append(big.Value, make([]byte, 4000)...)
	gone, ok := theirs.budget.admit(string(big.Key), storedSize(big), 1, false)
	if got, err := others.Get(t.Context(), string(rec.Key)); ok || len(gone) > 0 || err != nil || got == nil || len(theirs.budget.byKey) != 1 {
		t.Errorf("admitted: %v; the older value is still there: %v, %v", ok, got != nil, err)
	}
}

// kad-dht writes providers in batches and reads them by prefix.
func TestProvidersStayWithinTheBudget(t *testing.T) {
	disk := dssync.MutexWrap(ds.NewMapDatastore())
	self := testID(1)
	key := func(content int, p peer.ID) ds.Key {
		return ds.RawKey(records.ProvidersKeyPrefix + base32Keys.EncodeToString(fmt.Appendf(nil, "content %d", content)) + "/" + base32Keys.EncodeToString([]byte(p)))
	}
	open := func() *providerStore {
		s := newProviderStore(disk, self, Config{Providers: Limit{Count: 64}})
		s.load(t.Context())
		return s
	}
	s := open()
	provide := func(from, to int, p peer.ID) {
		b, err := s.Batch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < to; i++ {
			if err := b.Put(t.Context(), key(i, p), []byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	provide(0, 100, self)
	provide(0, 1000, testID(2))
	if n := len(stored(t, disk, "/providers")); n != 132 {
		t.Errorf("%d records, want half of the budget for one peer beside 100 own", n)
	}
	for i := range uint64(200) {
		provide(int(i), int(i)+5, testID(10+i))
	}
	check := func() {
		t.Helper()
		if n := len(stored(t, disk, "/providers")); n != 164 || len(s.budget.byKey) != 64 {
			t.Errorf("%d records, %d known, want the budget of 64 and 100 own", n, len(s.budget.byKey))
		}
	}
	check()
	s = open()
	check()
	for _, e := range stored(t, disk, "/providers") {
		if err := s.Delete(t.Context(), ds.RawKey(e.Key)); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.budget.byKey) != 0 || s.budget.theirs.bytes != 0 {
		t.Errorf("%d records of %d bytes are counted for no records", len(s.budget.byKey), s.budget.theirs.bytes)
	}
}

// A real server: a peer that floods it gets half of its room at most, and other peers can
// still put.
func TestFloodByOnePeerLeavesRoomToOthers(t *testing.T) {
	newHost := func() host.Host {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		return h
	}
	server, disk := newHost(), dssync.MutexWrap(ds.NewMapDatastore())
	scarce := new(atomic.Bool)
	d, err := New(server, Config{Store: disk, LoopbackOnLAN: true, Values: Limit{Count: 64}, Scarce: scarce.Load})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	flood := func(count int) (taken int) {
		s := newSender(newHost(), ProtocolLAN, func(peer.ID) []ma.Multiaddr { return server.Addrs() })
		defer s.close()
		for range count {
			rec := testRecord(t)
			m := pb.NewMessage(pb.Message_PUT_VALUE, rec.Key, 0)
			m.Record = rec
			switch _, err := s.request(t.Context(), server.ID(), m); {
			case err == nil:
				taken++
			case !errors.Is(err, errRefused):
				t.Fatal(err)
			}
		}
		return taken
	}
	if taken := flood(150); taken < 32 || taken == 150 {
		t.Errorf("%d of 150 were taken", taken)
	}
	if n := len(stored(t, disk, "/dht/ipns")); n != 32 {
		t.Errorf("one peer has %d of 64", n)
	}
	if taken := flood(2); taken != 2 {
		t.Errorf("%d of 2 of another peer were taken", taken)
	}
	scarce.Store(true)
	if taken := flood(2); taken != 0 {
		t.Errorf("%d were taken without space on disk", taken)
	}
}
