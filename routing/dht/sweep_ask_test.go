package dht_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/internal/simnet"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

// ask calls Ask for the names of the records.
func (s *simulation) ask(records []*ipns.Record, closest int) map[ipns.Name]routing.Finding {
	s.t.Helper()
	found := map[ipns.Name]routing.Finding{}
	for f, err := range s.router.Ask(s.t.Context(), keyspace.Region{}, namesOf(records), closest) {
		if err != nil {
			s.t.Fatal(err)
		}
		if _, twice := found[f.Name]; twice {
			s.t.Errorf("two findings of %v", f.Name)
		}
		found[f.Name] = f
	}
	if len(found) != len(records) {
		s.t.Errorf("%d findings of %d names", len(found), len(records))
	}
	return found
}

func namesOf(records []*ipns.Record) func(yield func(ipns.Name) bool) {
	return func(yield func(ipns.Name) bool) {
		for _, rec := range records {
			if !yield(rec.Name()) {
				return
			}
		}
	}
}

// Ask visits each server once, finds the newest record if any of the closest servers has
// it, and puts nothing.
func TestSimulatedAsk(t *testing.T) {
	simulate(t, 1000, simnet.Real15, func(s *simulation) {
		records := newRecords(t, 600)
		newer := map[ipns.Name]*ipns.Record{}
		for range 40 {
			k := newSigner(t, ipns.Ed25519)
			older := k.record(1, time.Now().Add(48*time.Hour))
			newer[k.name] = k.record(2, time.Now().Add(48*time.Hour))
			records = append(records, older)
			s.net.Place(older, 20)
			s.net.Place(newer[k.name], 3)
		}
		sortByKad(records)
		before := s.net.Stats(s.host)
		found := s.ask(records, 0)
		cost := s.net.Stats(s.host).Sub(before)
		unknown := 0
		for _, rec := range records {
			f := found[rec.Name()]
			if f.Err != nil {
				unknown++
			}
			switch want := newer[rec.Name()]; {
			case want == nil && f.Record != nil:
				t.Errorf("of a name that nobody has, found %v", f.Record)
			case want != nil && (f.Record == nil || ipns.Compare(f.Record, want) != 0):
				t.Errorf("of a newer record at 3 servers, found %v, %v", f.Record, f.Err)
			}
		}
		t.Logf("640 names: %+v; %d remain unknown", cost, unknown)
		if cost.Put > 0 || unknown > 0 || cost.Find > 1200 {
			t.Errorf("%+v for %d names, %d unknown", cost, len(records), unknown)
		}
		before = s.net.Stats(s.host)
		s.ask(records, 5)
		if cost := s.net.Stats(s.host).Sub(before); cost.Get > 8*640 {
			t.Errorf("the closest 5 were asked by %+v", cost)
		}
	})
}

// If servers do not answer, the Finding is not complete.
func TestSimulatedAskOfTheDead(t *testing.T) {
	simulate(t, 300, simnet.Ideal, func(s *simulation) {
		records := newRecords(t, 100)
		s.sweep(records)
		for _, p := range s.net.Closest(records[0].Name().RoutingKey(), 300)[10:] {
			s.net.Behave(p.ID, simnet.Dead)
		}
		for _, f := range s.ask(records, 0) {
			if f.Err == nil {
				t.Fatalf("10 of 300 servers are alive, and %d answers are enough", f.Answers)
			}
			var incomplete *routing.IncompleteError
			if !errors.As(f.Err, &incomplete) {
				t.Fatal(f.Err)
			}
		}
	})
}

// Without a network, nothing is known.
func TestAskWithoutNetwork(t *testing.T) {
	d, _ := startNode(t, dht.Config{})
	for f, err := range d.LAN.Ask(t.Context(), keyspace.Region{}, namesOf(newRecords(t, 30)), 0) {
		if !errors.Is(err, routing.ErrNoTargets) {
			t.Fatalf("%+v, %v", f, err)
		}
	}
}

// Real servers, too, are visited once for all names.
func TestAskOfRealServers(t *testing.T) {
	d, h := startNode(t, dht.Config{})
	nw := testnet.ForTest(t, 8)
	join(t, nw, d, h)
	records := newRecords(t, 40)
	if got := collect(t, d.LAN.Sweep(t.Context(), keyspace.Region{}, slices.Values(records))); got.err != nil {
		t.Fatal(got.err)
	}
	for f, err := range d.LAN.Ask(t.Context(), keyspace.Region{}, namesOf(records), 0) {
		if err != nil || f.Err != nil || f.Record == nil || f.Answers != 8 {
			t.Fatalf("%+v, %v", f, err)
		}
	}
}
