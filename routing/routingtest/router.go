package routingtest

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// patience is how long each step of TestRouter may take.
const patience = 30 * time.Second

// TestRouter checks a Router against the contract of [routing.Router]. open returns a
// working Router on a network without records. It is called once for each part of the
// test, and stops what it started with t.Cleanup.
//
// The Router must reach targets that take a record and return it. What this test cannot
// set up, such as dead servers, is left to the tests of each implementation.
func TestRouter(t *testing.T, open func(t *testing.T) routing.Router) {
	for name, part := range map[string]func(*testing.T, routing.Router){
		"PutThenSearch":     testPutThenSearch,
		"SearchUnknown":     testSearchUnknown,
		"OlderIsNotTaken":   testOlderIsNotTaken,
		"Break":             testBreak,
		"ContextEnds":       testContextEnds,
		"ManyAtOnce":        testManyAtOnce,
		"NothingTillRanged": testNothingTillRanged,
	} {
		t.Run(name, func(t *testing.T) { part(t, open(t)) })
	}
}

func testPutThenSearch(t *testing.T, r routing.Router) {
	rec := Sign(t, NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1})
	if took := put(t, r, rec); took == 0 {
		t.Fatal("nobody took the record")
	}
	if found := search(t, r, rec.Name()); found == nil {
		t.Fatal("the record that was put is not found")
	} else if !bytes.Equal(found.Raw(), rec.Raw()) {
		t.Fatalf("put\n%x, found\n%x", rec.Raw(), found.Raw())
	}
	// Putting it again works too.
	if took := put(t, r, rec); took == 0 {
		t.Fatal("nobody took the record when it was put again")
	}
}

func testSearchUnknown(t *testing.T, r routing.Router) {
	name := Sign(t, NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"}).Name()
	if found := search(t, r, name); found != nil {
		t.Fatalf("found %x for a name that nobody has published", found.Raw())
	}
}

// Even if a target does not refuse the older record, a search finds the newer one.
func testOlderIsNotTaken(t *testing.T, r routing.Router) {
	key := NewKey(t)
	older := Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 7})
	newer := Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqabdbmfrgg", Sequence: 8})
	put(t, r, newer)
	for ack, err := range r.Put(t.Context(), older, routing.Look{}) {
		if err != nil {
			break // refusing the whole put is allowed
		}
		if ack.Newer != nil && ipns.Compare(ack.Newer, older) <= 0 {
			t.Errorf("%s refused because of a record that is not newer", ack.Target)
		}
	}
	found := search(t, r, newer.Name())
	if found == nil || !bytes.Equal(found.Raw(), newer.Raw()) {
		t.Fatal("the newer record is not found after an older one was put")
	}
}

// No goroutine is left when the caller stops early.
func testBreak(t *testing.T, r routing.Router) {
	rec := Sign(t, NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	put(t, r, rec) // opens connections, with their goroutines
	search(t, r, rec.Name())
	before := runtime.NumGoroutine()
	const rounds = 20
	for range rounds {
		for range r.Search(t.Context(), rec.Name()) {
			break
		}
		for range r.Put(t.Context(), rec, routing.Look{}) {
			break
		}
	}
	// The network stack may need a moment to stop its own goroutines.
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() >= before+rounds && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after >= before+rounds {
		t.Fatalf("%d goroutines before, %d after %d searches and puts that were broken off", before, after, rounds)
	}
}

func testContextEnds(t *testing.T, r routing.Router) {
	rec := Sign(t, NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	var last error
	for _, err := range r.Search(ctx, rec.Name()) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("a search whose context has ended ends with %v, want %v", last, context.Canceled)
	}
	last = nil
	for _, err := range r.Put(ctx, rec, routing.Look{}) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("a put whose context has ended ends with %v, want %v", last, context.Canceled)
	}
	if took := time.Since(start); took > patience/3 {
		t.Errorf("took %v to see that the context has ended", took)
	}
}

func testManyAtOnce(t *testing.T, r routing.Router) {
	var wg sync.WaitGroup
	for range 8 {
		rec := Sign(t, NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 3})
		wg.Go(func() {
			if took := put(t, r, rec); took == 0 {
				t.Error("nobody took the record")
			}
			if found := search(t, r, rec.Name()); found == nil || found.Sequence() != 3 {
				t.Error("the record that was put is not found")
			}
		})
	}
	wg.Wait()
}

// A put starts when it is ranged over, not before.
func testNothingTillRanged(t *testing.T, r routing.Router) {
	rec := Sign(t, NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	r.Put(t.Context(), rec, routing.Look{})
	if found := search(t, r, rec.Name()); found != nil {
		t.Fatal("a put that nobody ranged over has put its record")
	}
}

// put puts a record, checks each Ack and returns how many targets took it.
func put(t *testing.T, r routing.Router, rec *ipns.Record) (took int) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ack, err := range r.Put(ctx, rec, routing.Look{}) {
		if err != nil {
			t.Errorf("put: %v", err)
			break
		}
		switch {
		case ack.Name != rec.Name():
			t.Errorf("ack for %v, put was for %v", ack.Name, rec.Name())
		case ack.Target == "" || ack.Network == "":
			t.Errorf("ack lacks its target: %+v", ack)
		case ack.Of < 1 && !ack.Extra:
			t.Errorf("ack of %s says that %d targets should hold the record", ack.Target, ack.Of)
		case ack.RTT < 0:
			t.Errorf("ack of %s after %v", ack.Target, ack.RTT)
		}
		if ack.Err == nil {
			took++
		}
	}
	return took
}

// search searches to the end, checks each Answer and returns the newest record.
func search(t *testing.T, r routing.Router, name ipns.Name) (best *ipns.Record) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for a, err := range r.Search(ctx, name) {
		if err != nil {
			t.Errorf("search: %v", err)
			break
		}
		if a.Source == "" || a.Network == "" || a.At.IsZero() {
			t.Errorf("answer lacks its source or time: %+v", a)
		}
		if a.Record == nil {
			continue
		}
		if a.Record.Name() != name {
			t.Errorf("%s answered with a record of %v when asked for %v", a.Source, a.Record.Name(), name)
		}
		if err := a.Record.Verify(time.Now()); err != nil {
			t.Errorf("%s answered with a record that does not verify: %v", a.Source, err)
		}
		if best == nil || ipns.Compare(a.Record, best) > 0 {
			best = a.Record
		}
	}
	return best
}

// NewKey returns a new Ed25519 key.
func NewKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Sign signs a record with a key. The default EOL is a day from now.
func Sign(t testing.TB, key crypto.PrivKey, f ipns.Fields) *ipns.Record {
	t.Helper()
	if f.EOL.IsZero() {
		f.EOL = time.Now().Add(24 * time.Hour)
	}
	rec, err := ipns.Sign(t.Context(), ipns.NewSigner(key), f, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}
