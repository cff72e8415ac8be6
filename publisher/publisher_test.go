package publisher_test

import (
	"errors"
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

// site is a publisher on a network of its own, and one key.
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
	acks := 0
	res := s.publish(t, "/ipfs/bafkqaaa", func(r *publisher.Request) {
		r.Wait = publisher.WaitAll
		r.OnStored = func(rec *ipns.Record) { stored = rec }
		r.OnAck = func(routing.Ack) { acks++ }
	})
	if k, of := res.Receipt.Announced(); k != 20 || of != 20 || acks != 20 || !res.Complete {
		t.Fatalf("announced to %d of %d, %d acks, complete %v", k, of, acks, res.Complete)
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
	_, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa"})
	var e *publisher.NotAnnouncedError
	if !errors.As(err, &e) || !errors.Is(err, routing.ErrNoTargets) {
		t.Fatalf("published to nobody: %v", err)
	}
	if entry, err := s.Book.Get(t.Context(), s.key.Name); err != nil || entry.Record.Hash() != e.Result.Record.Hash() {
		t.Fatalf("not stored: %v", err)
	}
}
