package dht_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/internal/simnet"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// looked puts the record with every Look and returns the acks.
func (s *simulation) looked(rec *ipns.Record) (acks []routing.Ack) {
	s.t.Helper()
	for ack, err := range s.router.Put(s.t.Context(), rec, routing.Look{Before: true, Clock: true}) {
		if err != nil {
			s.t.Fatal(err)
		}
		acks = append(acks, ack)
	}
	return acks
}

func TestLookTellsWhatWasHeld(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		t := s.t
		key := newSigner(t, ipns.Ed25519)
		eol := time.Now().Add(24 * time.Hour)
		first, rival, ours, last := key.record(1, eol), key.record(2, eol.Add(time.Hour)), key.record(2, eol), key.record(3, eol)
		s.explore()
		for _, ack := range s.looked(first) {
			if ack.Before != nil || ack.Err != nil {
				t.Fatalf("the first record of a name: %+v", ack)
			}
		}
		// What a server held is told, unless it is the record itself.
		for _, ack := range s.looked(first) {
			if ack.Before != nil {
				t.Fatalf("put again: %+v", ack)
			}
		}
		s.net.Place(rival, 3) // three servers hold a rival's record, the others the first one
		before := s.net.Stats(s.host)
		count := map[uint64]int{}
		for _, ack := range s.looked(ours) {
			if ack.Before == nil {
				continue
			}
			count[ack.Before.Sequence()]++
			if newer := ipns.Compare(ack.Before, ours) > 0; newer != (ack.Err != nil) || newer != (ack.Newer != nil) {
				t.Errorf("held sequence %d: %+v", ack.Before.Sequence(), ack)
			}
		}
		if count[1]+count[2] < 20 || count[2] != 3 {
			t.Errorf("servers held %v", count)
		}
		if spent := s.net.Stats(s.host).Sub(before); spent.Put > 40 {
			t.Errorf("%d puts", spent.Put)
		}
		for _, ack := range s.looked(last) {
			if ack.Err != nil || ack.Before != nil && ack.Before.Sequence() != 2 {
				t.Errorf("%+v", ack)
			}
		}
	})
}

// For one key in about fifteen the map is not enough and a put takes a second round trip,
// with a look or without: so the medians of several keys are compared.
func TestLookCostsNoRoundTrip(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		t := s.t
		s.explore()
		took := func(look routing.Look) time.Duration {
			rec := newSigner(t, ipns.Ed25519).record(1, time.Now().Add(24*time.Hour))
			begin, count := time.Now(), 0
			for ack, err := range s.router.Put(t.Context(), rec, look) {
				if err != nil {
					t.Fatal(err)
				}
				if ack.Err == nil {
					count++
				}
				if count == 10 {
					break
				}
			}
			return time.Since(begin)
		}
		const keys = 15
		var plain, looking [keys]time.Duration
		for i := range keys {
			plain[i] = took(routing.Look{})
			looking[i] = took(routing.Look{Before: true, Clock: true})
		}
		slices.Sort(plain[:])
		slices.Sort(looking[:])
		without, with := plain[keys/2], looking[keys/2]
		t.Logf("10 acks after %v, with a look after %v", without, with)
		if with > without+50*time.Millisecond {
			t.Errorf("10 acks after %v, with a look after %v: a round trip is 100ms", without, with)
		}
	})
}

// The clocks of a few servers are read after the put; before it, the time at which they
// took another record gives a lower bound.
func TestLookReadsClocks(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		t := s.t
		key := newSigner(t, ipns.Ed25519)
		eol := time.Now().Add(24 * time.Hour)
		s.net.SetClocks(7 * time.Minute)
		for seq, want := range []struct{ exact, past int }{{4, 0}, {4, 10}} {
			groups, exact, past := map[string]bool{}, 0, 0
			for _, ack := range s.looked(key.record(uint64(seq), eol)) {
				c := ack.Clock
				if c == nil {
					continue
				}
				off := time.Until(c.Time.Add(c.Ago))
				if c.Past {
					if past++; off > 7*time.Minute {
						t.Errorf("at least %v ahead", off)
					}
					continue
				}
				exact++
				groups[c.Group.String()] = true
				if d := off - 7*time.Minute; d.Abs() > time.Second {
					t.Errorf("%s is %v ahead", ack.Target, off)
				}
			}
			if exact != want.exact || len(groups) != exact || past < want.past {
				t.Errorf("%d exact clocks of %d groups, %d bounds", exact, len(groups), past)
			}
			time.Sleep(time.Minute)
		}
	})
}

// A server that resets its streams loses answers; the query is then sent alone.
func TestLookSurvivesRefusals(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		t := s.t
		key := newSigner(t, ipns.Ed25519)
		eol := time.Now().Add(24 * time.Hour)
		first, second := key.record(1, eol), key.record(2, eol)
		s.explore()
		s.looked(first)
		for _, p := range s.net.Closest(first.Name().RoutingKey(), 5) {
			s.net.Behave(p.ID, simnet.Refusing)
		}
		refused := 0
		for _, ack := range s.looked(second) {
			if ack.Err == nil {
				continue
			}
			refused++
			if ack.Before == nil || ack.Before.Sequence() != 1 || ack.Newer != nil {
				t.Errorf("a refusal does not tell what the server holds: %+v", ack)
			}
		}
		if refused != 5 {
			t.Errorf("%d servers refused, want 5", refused)
		}
	})
}

// Search returns a record that this node knows to be out of date, but does not spread it.
func TestSearchSpreadsNothingBelowTheMark(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		t := s.t
		key := newSigner(t, ipns.Ed25519)
		old := key.record(1, time.Now().Add(24*time.Hour))
		for _, known := range []bool{true, false} {
			s.router.Close()
			s.router = dht.NewRouter(s.kad, dht.RouterConfig{Network: "wan", Older: func(_ context.Context, rec *ipns.Record) bool {
				return known && rec.Sequence() < 2
			}})
			s.net.Place(old, 3)
			if found, err := s.search(old, 100); err != nil || found != 3 {
				t.Fatalf("%d servers have it, %v", found, err)
			}
			if holders := s.net.Holders(old); known && holders != 3 || !known && holders < 20 {
				t.Errorf("the mark is above it: %v; %d hold it", known, holders)
			}
		}
	})
}

// A visit closes the connection that it opened, and none that this node uses.
func TestVisitsCloseTheirConnectionsOnly(t *testing.T) {
	simulate(t, 2000, simnet.Ideal, func(s *simulation) {
		t := s.t
		// kad-dht protects or tags the servers in its table, and a visit leaves those
		// connected. During a sweep more are added to the table.
		inTable := func(p peer.AddrInfo) bool {
			conns := s.host.ConnManager()
			tags := conns.GetTagInfo(p.ID)
			return conns.IsProtected(p.ID, "") || tags != nil && tags.Value > 0
		}
		var key *signer
		var around []peer.AddrInfo
		for len(around) < 15 { // near this node's own id, all are in the table
			key = newSigner(t, ipns.Ed25519)
			around = slices.DeleteFunc(s.net.Closest(key.name.RoutingKey(), 20), inTable)
		}
		rec, next := key.record(1, time.Now().Add(24*time.Hour)), key.record(2, time.Now().Add(24*time.Hour))
		// A few records would be put one by one, and how many are few depends on the
		// estimated size of the network: with more than 2,560 servers, 20 are.
		records := slices.Repeat([]*ipns.Record{rec}, 60)
		sweep := func() {
			for ack, err := range s.router.Sweep(t.Context(), keyspace.Region{}, slices.Values(records)) {
				if err != nil {
					t.Error(err, ack)
				}
			}
		}
		sweep() // now the region is explored
		for _, use := range []bool{false, true} {
			for _, p := range around {
				s.net.Disconnect(s.host, p.ID)
			}
			var other sync.WaitGroup
			if use {
				other.Go(func() {
					time.Sleep(260 * time.Millisecond)
					for _, p := range around {
						if s.host.Network().Connectedness(p.ID) != network.Connected {
							t.Errorf("the connection to %s was closed under a put", p.ID)
						}
					}
				})
				other.Go(func() {
					time.Sleep(180 * time.Millisecond) // the visits end 20 ms later
					if took := s.put(next); took < 20 {
						t.Errorf("%d servers took a record beside a sweep", took)
					}
				})
			}
			sweep()
			other.Wait()
			synctest.Wait()
			visited := 0
			for _, p := range around {
				if inTable(p) {
					continue
				}
				visited++
				if !use && s.host.Network().Connectedness(p.ID) == network.Connected {
					t.Errorf("the visit to %s left its connection open", p.ID)
				}
			}
			if !use && visited < 5 {
				t.Errorf("only %d servers are not in kad-dht's table", visited)
			}
			time.Sleep(10 * time.Second)
		}
	})
}
