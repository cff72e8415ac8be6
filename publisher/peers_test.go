package publisher_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing/routingtest"
)

// Each test in this file shows that a fault of other implementations does not happen
// here; docs/requirements.md lists them.

// TestOwnWritesAreSeenAtOnce reads a name right after every publish, from the Book and
// from a cache fed by it. V1, F7.
func TestOwnWritesAreSeenAtOnce(t *testing.T) {
	s := newSite(t, 20)
	var mu sync.Mutex
	cache := map[ipns.Name]string{}
	stop := s.Book.Subscribe(func(c names.Change) {
		mu.Lock()
		defer mu.Unlock()
		cache[c.Entry.Name] = c.Entry.Record.Value()
	})
	defer stop()
	const pairs = 1000
	for i := range pairs {
		value := fmt.Sprintf("/ipfs/bafkqaaa/%d", i)
		s.publish(t, value, func(r *publisher.Request) { r.Form, r.Wait = ipns.V2Only, publisher.WaitStored })
		e, err := s.Book.Get(t.Context(), s.key.Name)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		cached := cache[s.key.Name]
		mu.Unlock()
		if e.Record.Value() != value || cached != value {
			t.Fatalf("published %s, the Book says %s, the cache %s", value, e.Record.Value(), cached)
		}
	}
	t.Logf("%d publishes, each visible at once", pairs)
}

// TestLostStoreDoesNotRestartSequence loses the store while the network is silent. V4,
// F9.
func TestLostStoreDoesNotRestartSequence(t *testing.T) {
	s := newSite(t, 20)
	for i := range 10 {
		s.publish(t, fmt.Sprintf("/ipfs/bafkqaaa/%d", i), func(r *publisher.Request) { r.Wait = publisher.WaitAll })
	}
	lost := &publisher.Publisher{Book: &names.Book{Store: recordstore.NewMemory(), Now: s.Now}, Router: s.net, Now: s.Now}
	defer lost.Close(t.Context())
	s.net.Fail = errFault
	req := publisher.Request{Value: "/ipfs/bafkqaaa/after"}
	if _, err := lost.Publish(t.Context(), s.key.Signer, req); !errors.Is(err, publisher.ErrUnknownSequence) {
		t.Fatalf("without a store and a network: %v", err)
	}
	s.net.Fail = nil
	res, err := lost.Publish(t.Context(), s.key.Signer, req)
	if err != nil || res.Record.Sequence() != 10 {
		t.Fatalf("with the network: %v, %v", res.Record, err)
	}
}

// TestRestoredStoreNeverGoesBack publishes B after a backup, restores the backup, and
// publishes C, while the network answers, is silent, or has only old records. R5.
func TestRestoredStoreNeverGoesBack(t *testing.T) {
	for _, tt := range []struct {
		network string
		refused bool
	}{{"answers", false}, {"is silent", true}, {"is stale", false}} {
		s := newSite(t, 20)
		a := s.publish(t, "/ipfs/bafkqaaa/a", func(r *publisher.Request) { r.Wait = publisher.WaitAll })
		backup, err := s.Book.Get(t.Context(), s.key.Name)
		if err != nil {
			t.Fatal(err)
		}
		b := s.publish(t, "/ipfs/bafkqaaa/b", func(r *publisher.Request) { r.Wait = publisher.WaitAll })

		restored := recordstore.NewMemory()
		backup.Version = 0
		if _, err := restored.Swap(t.Context(), backup, recordstore.Lease{}); err != nil {
			t.Fatal(err)
		}
		p := &publisher.Publisher{Book: &names.Book{Store: restored, Now: s.Now}, Router: s.net, Now: s.Now}
		switch tt.network {
		case "is silent":
			s.net.Fail = errFault
		case "is stale":
			// All servers but one have the record before B.
			hold(s, a.Record, 20)
			s.net.Closest(s.key.Name)[7].Hold(s.key.Name, b.Record.Raw())
		}
		c, err := p.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa/c", Wait: publisher.WaitStored})
		if tt.refused {
			if !errors.Is(err, publisher.ErrUnknownSequence) {
				t.Errorf("the network %s: %v", tt.network, err)
			}
			forced, err := p.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa/c", Wait: publisher.WaitStored, Force: true})
			if err != nil || len(forced.Warnings) == 0 {
				t.Errorf("the network %s, forced: %v, warnings %q", tt.network, err, forced.Warnings)
			}
		} else if err != nil || c.Record.Sequence() <= b.Record.Sequence() {
			t.Errorf("the network %s: sequence %v after %d: %v", tt.network, c.Record, b.Record.Sequence(), err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestTwoNodesWithOneKeySettle: two nodes publish with one key and keep the name alive
// for a week. The value settles, both nodes know of the conflict, and a later publish on
// either node wins for good. V5.
func TestTwoNodesWithOneKeySettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, stopA := running(t, 20)
		defer stopA()
		b, stopB := running(t, 20)
		defer stopB()
		b.key = a.key
		b.Router, b.net = a.net, a.net
		// All servers get the first record before the next is published. Otherwise the
		// first node would see the second one's record on the others, and there would be
		// no conflict.
		toAll := func(r *publisher.Request) { r.Wait = publisher.WaitAll }
		a.publish(t, "/ipfs/bafkqaaa/v1", toAll)                                                      // sequence 0
		b.publish(t, "/ipfs/bafkqaaa/v2")                                                             // searched: sequence 1
		_, err := a.Publish(t.Context(), a.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa/v3"}) // sequence 1 as well
		var not *publisher.NotAnnouncedError
		if err != nil && !errors.As(err, &not) {
			t.Fatal(err)
		}
		time.Sleep(8 * time.Hour) // each republishes and finds the other's record
		settled := onNetwork(t, a)
		changes := 0
		for range 7 * 24 {
			time.Sleep(time.Hour)
			if now := onNetwork(t, a); now != settled {
				changes++
				settled = now
			}
		}
		if changes > 0 {
			t.Errorf("the value changed %d times in a week without a publish", changes)
		}
		for _, s := range []*site{a, b} {
			e, err := s.Book.Get(t.Context(), s.key.Name)
			if err != nil || e.Record.Value() != settled {
				t.Errorf("one node has %s, the network %s", e.Record.Value(), settled)
			}
		}
		if a.Book.Count(names.Fork)+b.Book.Count(names.Fork) == 0 {
			t.Error("the two writers were not noticed")
		}
		b.publish(t, "/ipfs/bafkqaaa/v4", toAll)
		time.Sleep(24 * time.Hour)
		if now := onNetwork(t, a); now != "/ipfs/bafkqaaa/v4" {
			t.Errorf("after the last publish the network has %s", now)
		}
	})
}

// onNetwork returns the value that all servers have.
func onNetwork(t *testing.T, s *site) string {
	t.Helper()
	var best *ipns.Record
	for a, err := range s.net.Search(t.Context(), s.key.Name) {
		if err != nil {
			t.Fatal(err)
		}
		if a.Record != nil && (best == nil || ipns.Compare(a.Record, best) > 0) {
			best = a.Record
		}
	}
	if best == nil {
		t.Fatal("the network has lost the name")
	}
	return best.Value()
}

// TestPublishesAreCounted: there are figures for what the publisher does. V8.
func TestPublishesAreCounted(t *testing.T) {
	s := newSite(t, 20)
	spoil(s.net, 20, routingtest.Refusing)
	_, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa"})
	var not *publisher.NotAnnouncedError
	if !errors.As(err, &not) {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.Book.Count(names.New); n != 1 {
		t.Errorf("%d records entered", n)
	}
	if st := s.Stats(); st.Announcing != 0 || st.Retrying != 1 {
		t.Errorf("stats %+v", st)
	}
}

// TestSearchHoldsUpNoOtherName publishes one name while a search for the last sequence of
// another takes half a minute. V9.
func TestSearchHoldsUpNoOtherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, 20)
		defer stop()
		for _, server := range s.net.Servers {
			server.Delay = 9 * time.Second
		}
		foreign := recordstoretest.NewKey(t)
		searched := make(chan struct{})
		go func() {
			defer close(searched)
			if _, err := s.Publish(t.Context(), foreign.Signer, publisher.Request{Value: "/ipfs/bafkqaaa", Wait: publisher.WaitStored}); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		begin := time.Now()
		s.publish(t, "/ipfs/bafkqaaa", func(r *publisher.Request) { r.Wait = publisher.WaitStored })
		if took := time.Since(begin); took > 0 {
			t.Errorf("waited %v for the search of another name", took)
		}
		<-searched
	})
}

// TestRecordWithoutSequenceDoesNotFreezeName puts a correctly signed record without a
// sequence, and then a complete one. F10.
func TestRecordWithoutSequenceDoesNotFreezeName(t *testing.T) {
	seed := make([]byte, ed25519.SeedSize)
	priv := ed25519.NewKeyFromSeed(seed)
	key, err := crypto.UnmarshalEd25519PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) string { return string(rune(0x60+len(s))) + s }
	// A map of four: TTL 60, Value, Validity and ValidityType, without Sequence.
	data := "\xa4" + text("TTL") + "\x18\x3c" + text("Value") + "\x4d/ipfs/bafkqaa" +
		text("Validity") + "\x54" + "2126-01-01T00:00:00Z" + text("ValidityType") + "\x00"
	sig := ed25519.Sign(priv, []byte("ipns-signature:"+data))
	raw := fmt.Appendf(nil, "\x42\x40%s\x4a%c%s", sig, rune(len(data)), data)
	if _, err := ipns.Open(name, raw, epoch); !errors.Is(err, ipns.ErrMalformed) {
		t.Fatalf("a record without a sequence: %v", err)
	}
	s := newSite(t, 20)
	whole := recordstoretest.Key{Name: name, Signer: ipns.NewSigner(key)}.Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(time.Hour))
	for _, server := range s.net.Closest(name) {
		server.Hold(name, raw) // as servers with looser rules would
	}
	res, err := s.Put(t.Context(), whole, publisher.PutRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := s.Book.Get(context.Background(), name); err != nil || e.Record.Hash() != res.Record.Hash() {
		t.Fatalf("the name is frozen: %v", err)
	}
}
