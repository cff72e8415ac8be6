package dht_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
	"github.com/goipns/ipns/routing/routingtest"
)

func TestExpected(t *testing.T) {
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	yesterday, long := now.Add(-24*time.Hour), now.Add(-31*24*time.Hour)
	for what, tc := range map[string]struct {
		signs dht.Signs
		want  string
	}{
		"lone node":                                     {dht.Signs{}, ""},
		"bootstrap peers, none reached":                 {dht.Signs{Bootstrap: true}, dht.WAN},
		"one serves the WAN":                            {dht.Signs{Bootstrap: true, ReachedWAN: true}, dht.WAN},
		"one serves the WAN, another the LAN":           {dht.Signs{Bootstrap: true, ReachedWAN: true, ReachedLAN: true}, dht.WAN},
		"test network":                                  {dht.Signs{Bootstrap: true, ReachedLAN: true}, dht.LAN},
		"test network that answered":                    {dht.Signs{Bootstrap: true, ReachedLAN: true, AnsweredLAN: now}, dht.LAN},
		"neighbour, bootstrap peers not reached":        {dht.Signs{Bootstrap: true, AnsweredLAN: now}, dht.WAN},
		"neighbour alone":                               {dht.Signs{AnsweredLAN: yesterday}, dht.LAN},
		"WAN yesterday, bootstrap peers not reached":    {dht.Signs{Bootstrap: true, AnsweredWAN: yesterday}, dht.WAN},
		"WAN yesterday, only a LAN reached":             {dht.Signs{Bootstrap: true, ReachedLAN: true, AnsweredWAN: yesterday}, dht.WAN},
		"WAN yesterday, no bootstrap peers":             {dht.Signs{AnsweredWAN: yesterday}, dht.WAN},
		"WAN yesterday, a neighbour":                    {dht.Signs{AnsweredWAN: yesterday, AnsweredLAN: now}, dht.WAN},
		"WAN tomorrow, by a clock that was ahead":       {dht.Signs{AnsweredWAN: now.Add(24 * time.Hour)}, dht.WAN},
		"WAN long ago, only a LAN reached":              {dht.Signs{Bootstrap: true, ReachedLAN: true, AnsweredWAN: long}, dht.LAN},
		"WAN long ago":                                  {dht.Signs{AnsweredWAN: long}, ""},
		"WAN long ago, bootstrap peers not reached now": {dht.Signs{Bootstrap: true, AnsweredWAN: long}, dht.WAN},
	} {
		if got := tc.signs.Expected(now); got != tc.want {
			t.Errorf("%s: %q is expected, want %q", what, got, tc.want)
		}
	}
}

// lanSigns returns the signs of a node whose LAN should have servers, or of one without a
// network.
func lanSigns(meant bool) func() dht.Signs {
	return func() dht.Signs { return dht.Signs{Bootstrap: meant, ReachedLAN: meant} }
}

func TestPresence(t *testing.T) {
	routingtest.TestPresence(t, func(t *testing.T, network string, p routingtest.Presence) routing.Router {
		d, h := startNode(t, dht.Config{Signs: lanSigns(p == routingtest.Away)})
		if p == routingtest.Empty || p == routingtest.RefusingAll {
			nw := testnet.ForTest(t, 3)
			join(t, nw, d, h)
			for i := range nw.Len() {
				nw.Server(i).Refuse(p == routingtest.RefusingAll)
			}
		}
		r := dht.NewRouter(d.Dual.LAN, dht.RouterConfig{
			Network: network, Protocol: dht.ProtocolLAN, Map: d.LAN.Map(),
			Expected: func() string {
				if p == routingtest.Away {
					return network
				}
				return ""
			},
		})
		t.Cleanup(func() { _ = r.Close() })
		return r
	})
}

// A network whose servers have all died is away, whether they are retried or in their
// pause.
func TestDeadNetworkIsAway(t *testing.T) {
	nw := testnet.ForTest(t, 5)
	d, h := startNode(t, dht.Config{Signs: lanSigns(true)})
	join(t, nw, d, h)
	rec := newSigner(t, ipns.Ed25519).record(1, time.Now().Add(time.Hour))
	put(t, d.LAN, rec)
	if err := nw.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		for _, err := range d.LAN.Search(t.Context(), newSigner(t, ipns.Ed25519).name) {
			if !errors.Is(err, routing.ErrAway) {
				t.Errorf("search %d: %v", i, err)
			}
		}
		r, err := routing.Collect(d.LAN.Put(t.Context(), rec, routing.Look{}))
		if k, _ := r.Announced(); k != 0 || !errors.Is(err, routing.ErrAway) || !r.Networks[0].Away {
			t.Errorf("put %d: %+v, %v", i, r, err)
		}
	}
}

// One live server is not the network: if the others died, searches are incomplete, even
// while the dead ones are in their pause, and receipts count those too.
func TestTheLastOneIsNotTheNetwork(t *testing.T) {
	nw := testnet.ForTest(t, 12)
	d, h := startNode(t, dht.Config{Signs: lanSigns(true)})
	join(t, nw, d, h)
	put(t, d.LAN, newSigner(t, ipns.Ed25519).record(1, time.Now().Add(time.Hour)))
	for i := range nw.Len() - 1 {
		if err := nw.Server(i + 1).Kill(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		var part *routing.IncompleteError
		ended := errors.New("without an error")
		for _, err := range d.LAN.Search(t.Context(), newSigner(t, ipns.Ed25519).name) {
			if err != nil {
				ended = err
			}
		}
		if !errors.As(ended, &part) {
			t.Errorf("search %d ended %v", i, ended)
		}
	}
	var list []*ipns.Record
	for i := range 3 {
		list = append(list, newSigner(t, ipns.Ed25519).record(1, time.Now().Add(time.Hour)))
		r, err := routing.Collect(d.LAN.Put(t.Context(), list[i], routing.Look{}))
		if k, of := r.Announced(); k != 1 || of != 12 || err != nil {
			t.Errorf("put %d: %v, %v", i, r, err)
		}
	}
	slices.SortFunc(list, func(a, b *ipns.Record) int {
		x, y := a.Name().Kad(), b.Name().Kad()
		return bytes.Compare(x[:], y[:])
	})
	receipts := map[ipns.Name]*routing.Receipt{}
	for ack, err := range d.LAN.Sweep(t.Context(), keyspace.Region{}, slices.Values(list)) {
		if err != nil {
			t.Fatal(err)
		}
		if receipts[ack.Name] == nil {
			receipts[ack.Name] = new(routing.Receipt)
		}
		receipts[ack.Name].Add(ack)
	}
	for name, r := range receipts {
		if k, of := r.Announced(); k != 1 || of != 12 {
			t.Errorf("sweep of %v: %v", name, r)
		}
	}
	if len(receipts) != len(list) {
		t.Errorf("the sweep answered for %d names", len(receipts))
	}
}

// If another network is expected, silent servers on this one make no search incomplete.
func TestASpareNetworkSpoilsNothing(t *testing.T) {
	nw := testnet.ForTest(t, 4)
	d, h := startNode(t, dht.Config{Signs: func() dht.Signs { return dht.Signs{ReachedWAN: true} }})
	join(t, nw, d, h)
	put(t, d.LAN, newSigner(t, ipns.Ed25519).record(1, time.Now().Add(time.Hour)))
	whole := routingtest.New(20)
	both := routing.Parallel{whole, d.LAN}
	kill := func(i int) {
		if err := nw.Server(i).Kill(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range nw.Len() {
		kill(i)
		for _, err := range both.Search(t.Context(), newSigner(t, ipns.Ed25519).name) {
			if err != nil {
				t.Errorf("%d of %d are dead: %v", i+1, nw.Len(), err)
			}
		}
	}
	if r, err := routing.Collect(both.Put(t.Context(), newSigner(t, ipns.Ed25519).record(1, time.Now().Add(time.Hour)), routing.Look{})); err != nil || r.String() != "announced to 20 of 20" {
		t.Errorf("put: %v, %v", r, err)
	}
}
