package testnet_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/leaktest"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

// client is a node that has joined the network.
type client struct {
	t    *testing.T
	host host.Host
	dht  *dht.DHT
}

func join(t *testing.T, nw *testnet.Network) *client {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	d, err := dht.New(h, dht.Config{LoopbackOnLAN: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(d.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := nw.Join(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	for d.Dual.LAN.RoutingTable().Size() < min(nw.Len(), 20) {
		if t.Context().Err() != nil {
			t.Fatal("the routing table stays empty")
		}
		<-d.Dual.LAN.RefreshRoutingTable()
		time.Sleep(10 * time.Millisecond)
	}
	return &client{t, h, d}
}

// put puts a new record of a new name and returns its name and the peers that
// took it.
func (c *client) put() (ipns.Name, map[string]routing.Ack) {
	c.t.Helper()
	priv, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	rec, err := ipns.Sign(c.t.Context(), ipns.NewSigner(priv), ipns.Fields{
		Value: "/ipfs/bafkqabtimvwgy3yk", Sequence: 1, EOL: time.Now().Add(time.Hour),
	}, ipns.V2Only)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	took := make(map[string]routing.Ack)
	for ack, err := range c.dht.LAN.Put(ctx, rec, routing.Look{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		if ack.Err == nil {
			took[ack.Target] = ack
		}
	}
	return rec.Name(), took
}

func TestStartAndClose(t *testing.T) {
	defer leaktest.VerifyNone(t, goleak.IgnoreCurrent())
	for _, n := range []int{0, testnet.MaxServers + 1} {
		if nw, err := testnet.Start(t.Context(), n); err == nil {
			nw.Close()
			t.Errorf("a network of %d servers was started", n)
		}
	}
	nw, err := testnet.Start(t.Context(), 25)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range nw.Addrs() {
		if !strings.HasPrefix(addr, "/ip4/127.0.0.1/tcp/") {
			t.Errorf("%s is not on loopback", addr)
		}
		if _, err := peer.AddrInfoFromString(addr); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if err := nw.Close(); err != nil {
		t.Error(err)
	}
}

func TestPutsAndHolders(t *testing.T) {
	nw := testnet.ForTest(t, 25)
	c := join(t, nw)
	name, took := c.put()
	// On a busy machine some servers may be so slow that others get the record too.
	if len(took) < 20 || nw.Puts() != len(took) || len(nw.Holders(name)) != len(took) {
		t.Fatalf("%d took it, %d puts counted, %d hold it, want 20", len(took), nw.Puts(), len(nw.Holders(name)))
	}
	of := 0 // how many should have it: those that are slow do not count until they answer
	for i, s := range nw.Closest(name)[:20] {
		ack, ok := took[s.ID().String()]
		if of = max(of, ack.Of); !ok || s.Record(name) == nil {
			t.Errorf("the %d. closest server did not acknowledge or does not hold it", i)
		}
	}
	if of != 20 {
		t.Errorf("%d servers should hold it, want 20", of)
	}
}

func TestRefuse(t *testing.T) {
	nw := testnet.ForTest(t, 6)
	c := join(t, nw)
	nw.Server(0).Refuse(true)
	name, took := c.put()
	if len(took) != 5 || len(nw.Holders(name)) != 5 || nw.Server(0).Record(name) != nil {
		t.Errorf("%d took it, %d hold it, want all but the one that refuses", len(took), len(nw.Holders(name)))
	}
	nw.Server(0).Refuse(false)
	if _, took := c.put(); len(took) != 6 {
		t.Errorf("%d took it, want all 6 again", len(took))
	}
}

func TestSlow(t *testing.T) {
	const delay = 300 * time.Millisecond
	nw := testnet.ForTest(t, 6)
	c := join(t, nw)
	slow := nw.Server(3)
	slow.Slow(delay)
	quick := map[string]bool{}
	for range 20 { // on a busy machine others are slow now and then
		_, took := c.put()
		if len(took) != 6 {
			t.Fatalf("%d took it, want 6", len(took))
		}
		for id, ack := range took {
			if ack.RTT < delay {
				quick[id] = true
			}
		}
		if quick[slow.ID().String()] {
			t.Fatalf("the slow server answered after %v", took[slow.ID().String()].RTT)
		}
		if len(quick) == 5 {
			return
		}
	}
	t.Errorf("only %d of the other 5 ever answered within %v", len(quick), delay)
}

func TestKill(t *testing.T) {
	nw := testnet.ForTest(t, 6)
	c := join(t, nw)
	if err := nw.Server(0).Kill(); err != nil {
		t.Fatal(err)
	}
	if _, took := c.put(); len(took) != 5 {
		t.Errorf("%d took it, want the 5 that live", len(took))
	}
}

func TestPartition(t *testing.T) {
	nw := testnet.ForTest(t, 4)
	half := func(i int) bool { return i < 2 }
	connect := func(i, j int) error {
		return nw.Server(i).Connect(t.Context(), nw.Server(j).Info())
	}
	if err := connect(0, 3); err != nil {
		t.Fatal(err)
	}
	nw.Partition(half)
	if err := connect(0, 1); err != nil {
		t.Errorf("the same side: %v", err)
	}
	for _, pair := range [][2]int{{0, 3}, {3, 0}, {1, 2}} {
		if connect(pair[0], pair[1]) == nil {
			t.Errorf("server %d reached %d across the partition", pair[0], pair[1])
		}
	}
	nw.Partition(nil)
	if err := connect(1, 2); err != nil {
		t.Errorf("after the partition was healed: %v", err)
	}
}
