package publisher_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

var epoch = recordstoretest.Epoch

// site is a publisher with its own network and one key.
type site struct {
	*publisher.Publisher
	net   *routingtest.Network
	store *recordstore.Memory
	key   recordstoretest.Key
}

func newSite(t *testing.T, servers int) *site {
	t.Helper()
	now := func() time.Time { return epoch }
	s := &site{net: routingtest.New(servers), store: recordstore.NewMemory(), key: recordstoretest.NewKey(t)}
	s.net.Now = now
	s.Publisher = &publisher.Publisher{Book: &names.Book{Store: s.store, Now: now}, Router: s.net, Now: now}
	if err := s.Book.Create(t.Context(), s.key.Name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) publish(t *testing.T, value string, change ...func(*publisher.Request)) publisher.Result {
	t.Helper()
	req := publisher.Request{Value: value}
	for _, f := range change {
		f(&req)
	}
	res, err := s.Publish(t.Context(), s.key.Signer, req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestPublish(t *testing.T) {
	s := newSite(t, 30)
	var stored *ipns.Record
	took := -1
	res := s.publish(t, "/ipfs/bafkqaaa", func(r *publisher.Request) {
		r.Wait = publisher.WaitAll
		r.OnProgress = func(res publisher.Result) {
			if took < 0 && res.Receipt.Took("") > 0 {
				t.Error("an ack was reported before the record was stored")
			}
			stored, took = res.Record, res.Receipt.Took("")
		}
	})
	if k, of := res.Receipt.Announced(); k != 20 || of != 20 || took != 20 || !res.Complete {
		t.Fatalf("announced to %d of %d, told of %d, complete %v", k, of, took, res.Complete)
	}
	if stored != res.Record || res.Outcome != names.New || !res.NewSequence || res.Record.Sequence() != 0 {
		t.Fatalf("stored %v, result %+v", stored, res)
	}
	if n := s.net.Holders(res.Record); n != 20 {
		t.Fatalf("%d servers hold the record", n)
	}
	if n := s.net.Counts().Searches; n != 0 {
		t.Fatalf("%d searches for a name whose key was made here", n)
	}
	again := s.publish(t, "/ipfs/bafkqaaa/b")
	if again.Record.Sequence() != 1 || again.Previous.Hash() != res.Record.Hash() {
		t.Fatalf("second publish: %+v", again)
	}
}

func TestNotAnnounced(t *testing.T) {
	s := newSite(t, 0)
	s.net.Expected = true
	_, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa"})
	var e *publisher.NotAnnouncedError
	if !errors.As(err, &e) || !errors.Is(err, routing.ErrAway) {
		t.Fatalf("published to nobody: %v", err)
	}
	if entry, err := s.Book.Get(t.Context(), s.key.Name); err != nil || entry.Record.Hash() != e.Result.Record.Hash() {
		t.Fatalf("not stored: %v", err)
	}
}

// On a node without a network, storing a record is enough.
func TestStoredIsEnoughWhereNobodyIsExpected(t *testing.T) {
	s := newSite(t, 0)
	res, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa"})
	if err != nil || !slices.Contains(res.Warnings, publisher.NobodyExpected) {
		t.Fatalf("%v, warnings %q", err, res.Warnings)
	}
	if _, of := res.Receipt.Announced(); of != 0 {
		t.Errorf("the receipt says %v", res.Receipt)
	}
}

// If the network is away, a neighbour that takes the record is not enough, and its ack
// does not end the wait.
func TestANeighbourIsNotTheExpectedNetwork(t *testing.T) {
	for _, wait := range []publisher.Wait{publisher.WaitDefault, 1, publisher.WaitAll} {
		s := newSite(t, 12)
		s.net.Name = "lan"
		wan := routingtest.New(0)
		wan.Expected = true
		s.Router = routing.Parallel{s.net, wan}
		s.Expected = func() string { return "wan" }
		res, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa", Wait: wait})
		var not *publisher.NotAnnouncedError
		if !errors.As(err, &not) || !errors.Is(err, routing.ErrAway) || res.Receipt.Took("lan") != 12 {
			t.Fatalf("wait %v: %v, %v", wait, res.Receipt, err)
		}
		if k, of := res.Receipt.Announced(); k != 0 || of != 0 {
			t.Errorf("wait %v: the headline is %d of %d", wait, k, of)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		u, err := s.Book.Upkeep(t.Context(), s.key.Name)
		if err != nil || u.LastErr == "" || u.Due.Sub(u.LastPut) > time.Minute {
			t.Errorf("wait %v: noted %+v, %v; want a retry soon", wait, u, err)
		}
	}
}
