package dht_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
	"github.com/goipns/ipns/routing/routingtest"
)

// startNode starts a node on loopback, which ends with the test.
func startNode(t *testing.T, c dht.Config) (*dht.DHT, host.Host) {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	c.LoopbackOnLAN = true
	d, err := dht.New(h, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(d.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	return d, h
}

// join connects a node to the network and waits until it knows most of it.
func join(t *testing.T, nw *testnet.Network, d *dht.DHT, h host.Host) {
	t.Helper()
	if err := nw.Join(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	for table := d.Dual.LAN.RoutingTable(); table.Size() < min(nw.Len(), 20); time.Sleep(10 * time.Millisecond) {
		if t.Context().Err() != nil {
			t.Fatal("the routing table stays empty")
		}
		<-d.Dual.LAN.RefreshRoutingTable()
	}
}

// put puts a record and returns how many servers took it.
func put(t *testing.T, r routing.Router, rec *ipns.Record) (took int, acks []routing.Ack) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for ack, err := range r.Put(ctx, rec, routing.Look{}) {
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, ack)
		if ack.Err == nil && !ack.Extra {
			took++
		}
	}
	return took, acks
}

// search returns all answers that have a record.
func search(t *testing.T, r routing.Router, name ipns.Name) []routing.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var answers []routing.Answer
	for a, err := range r.Search(ctx, name) {
		if err != nil {
			t.Fatal(err)
		}
		if a.Record != nil {
			answers = append(answers, a)
		}
	}
	return answers
}

func TestPutAndSearch(t *testing.T) {
	nw := testnet.ForTest(t, 25)
	d, h := startNode(t, dht.Config{})
	join(t, nw, d, h)
	s := newSigner(t, ipns.Ed25519)
	rec := s.record(1, time.Now().Add(time.Hour))

	if got := search(t, d.LAN, s.name); len(got) != 0 {
		t.Fatalf("found a record that was never put: %v", got)
	}
	took, acks := put(t, d.LAN, rec)
	if took != 20 {
		t.Errorf("%d servers took the record, want 20: %+v", took, acks)
	}
	of := 0 // how many should have it: those that are slow do not count until they answer
	for _, ack := range acks {
		if of = max(of, ack.Of); ack.Of > 20 || ack.Network != "lan" || ack.Name != s.name || ack.RTT <= 0 {
			t.Errorf("ack %+v", ack)
		}
	}
	if of != 20 {
		t.Errorf("%d servers should have it, want 20", of)
	}
	for i, server := range nw.Closest(s.name)[:20] {
		if string(server.Record(s.name)) != string(rec.Raw()) {
			t.Errorf("closest server number %d does not hold the record", i+1)
		}
	}

	other, h2 := startNode(t, dht.Config{})
	join(t, nw, other, h2)
	found := search(t, other.LAN, s.name)
	if len(found) < 16 {
		t.Errorf("%d answers with a record, want 16 or more", len(found))
	}
	for _, a := range found {
		if string(a.Record.Raw()) != string(rec.Raw()) || a.Source == "" || a.Network != "lan" {
			t.Errorf("answer %+v", a)
		}
	}
}

func TestRefusedPutTellsOfTheNewer(t *testing.T) {
	nw := testnet.ForTest(t, 5)
	d, h := startNode(t, dht.Config{Mode: kaddht.ModeClient})
	join(t, nw, d, h)
	s := newSigner(t, ipns.Ed25519)
	newer, older := s.record(2, time.Now().Add(time.Hour)), s.record(1, time.Now().Add(time.Hour))
	if took, _ := put(t, d.LAN, newer); took != 5 {
		t.Fatalf("%d of 5 took the record", took)
	}
	took, acks := put(t, d.LAN, older)
	if took != 0 || len(acks) != 5 {
		t.Errorf("%d took the older record, %d acks, want 0 of 5", took, len(acks))
	}
	of := 0
	for _, ack := range acks {
		if of = max(of, ack.Of); ack.Err == nil || ack.Newer == nil || ack.Newer.Sequence() != 2 {
			t.Errorf("ack %+v does not tell of the newer record", ack)
		}
	}
	if of != 5 {
		t.Errorf("%d servers should have it, want 5", of)
	}
}

func TestNobodyThere(t *testing.T) {
	d, _ := startNode(t, dht.Config{})
	s := newSigner(t, ipns.Ed25519)
	for _, r := range []routing.Router{d.WAN, d.LAN} {
		for _, err := range r.Put(t.Context(), s.record(1, time.Now().Add(time.Hour)), routing.Look{}) {
			if !errors.Is(err, routing.ErrNoTargets) {
				t.Errorf("Put: %v, want ErrNoTargets", err)
			}
		}
		for a, err := range r.Search(t.Context(), newSigner(t, ipns.Ed25519).name) {
			if !errors.Is(err, routing.ErrNoTargets) {
				t.Errorf("Search: %+v, %v, want ErrNoTargets", a, err)
			}
		}
	}
}

// If all servers have died, none takes the record, and the network still counts no more
// than 20.
func TestAllDead(t *testing.T) {
	nw := testnet.ForTest(t, 25)
	d, h := startNode(t, dht.Config{})
	join(t, nw, d, h)
	s := newSigner(t, ipns.Ed25519)
	if r, err := routing.Collect(d.LAN.Put(t.Context(), s.record(1, time.Now().Add(time.Hour)), routing.Look{})); err != nil || len(r.Networks) == 0 || r.Networks[0].Announced < 18 {
		t.Fatalf("while they live: %v, %v", r, err)
	}
	for i := range nw.Len() {
		if err := nw.Server(i).Kill(); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := routing.Collect(d.LAN.Put(t.Context(), s.record(2, time.Now().Add(time.Hour)), routing.Look{}))
	if k, of := r.Announced(); k != 0 || of > 20 {
		t.Errorf("after their death: %v", r)
	}
}

// A node's own server returns what this node put, reports what others put, and takes no
// older record.
func TestOwnServer(t *testing.T) {
	var mu sync.Mutex
	var received []string
	a, ha := startNode(t, dht.Config{Received: func(rec *ipns.Record) {
		mu.Lock()
		defer mu.Unlock()
		received = append(received, string(rec.Raw()))
	}})
	b, hb := startNode(t, dht.Config{})
	if err := hb.Connect(t.Context(), *host.InfoFromHost(ha)); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*dht.DHT{a, b} {
		for d.Dual.LAN.RoutingTable().Size() == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	s := newSigner(t, ipns.Ed25519)
	first, second := s.record(1, time.Now().Add(time.Hour)), s.record(2, time.Now().Add(time.Hour))

	if took, acks := put(t, a.LAN, first); took != 1 || acks[0].Of != 1 {
		t.Fatalf("%d took it, acks %+v", took, acks)
	}
	if got := search(t, b.LAN, s.name); len(got) != 2 {
		t.Errorf("%d sources answered with the record, want this node's server and the other", len(got))
	}
	if took, _ := put(t, b.LAN, second); took != 1 {
		t.Error("the newer record was not taken")
	}
	mu.Lock()
	if len(received) != 1 || received[0] != string(second.Raw()) {
		t.Errorf("received %d records, want the second alone", len(received))
	}
	mu.Unlock()
	if took, acks := put(t, a.LAN, first); took != 0 || acks[0].Newer == nil {
		t.Errorf("the older record was taken: %+v", acks)
	}
	for _, answer := range search(t, a.LAN, s.name) {
		if answer.Record.Sequence() != 2 {
			t.Errorf("%s answers with sequence %d", answer.Source, answer.Record.Sequence())
		}
	}
}

// P-12
func TestPublicKeyBesideTheRecord(t *testing.T) {
	nw := testnet.ForTest(t, 5)
	d, h := startNode(t, dht.Config{})
	join(t, nw, d, h)
	s := newSigner(t, ipns.RSA)
	if took, acks := put(t, d.LAN, s.record(1, time.Now().Add(time.Hour))); took != 5 {
		t.Fatalf("%d of 5 took the record: %+v", took, acks)
	}
	if got := nw.Puts(); got != 10 {
		t.Errorf("%d puts, want 5 records and 5 keys", got)
	}
	pub, err := d.Dual.LAN.GetPublicKey(t.Context(), s.name.PeerID())
	if err != nil || !pub.Equals(s.priv.GetPublic()) {
		t.Errorf("the key is not found under /pk/: %v", err)
	}
}

func TestContract(t *testing.T) {
	nw := testnet.ForTest(t, 25)
	routingtest.TestRouter(t, func(t *testing.T) routing.Router {
		d, h := startNode(t, dht.Config{})
		join(t, nw, d, h)
		return d.LAN
	})
}
