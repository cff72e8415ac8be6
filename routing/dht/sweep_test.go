package dht_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/internal/simnet"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

// manyRecords signs records of as many names, in the order of the key space.
func manyRecords(t *testing.T, n int, eol time.Time) []*ipns.Record {
	t.Helper()
	recs := make([]*ipns.Record, n)
	for i := range recs {
		recs[i] = newSigner(t, ipns.Ed25519).record(1, eol)
	}
	slices.SortFunc(recs, func(a, b *ipns.Record) int {
		return keyspace.Key(a.Name().Kad()).Compare(b.Name().Kad())
	})
	return recs
}

// sweep sweeps the records and returns how many servers took each.
func sweep(t *testing.T, ctx context.Context, r *dht.Router, recs []*ipns.Record) map[ipns.Name]int {
	t.Helper()
	took := make(map[ipns.Name]int)
	for ack, err := range r.Sweep(ctx, keyspace.Region{}, slices.Values(recs)) {
		if err != nil {
			t.Fatal(err)
		}
		if ack.Err == nil {
			took[ack.Name]++
		}
	}
	return took
}

func TestSimulatedSweep(t *testing.T) {
	simulate(t, 2000, simnet.Real15, func(s *simulation) {
		const names = 300
		recs := manyRecords(t, names, time.Now().Add(24*time.Hour))
		for _, again := range []bool{false, true} {
			before := s.net.Stats(s.host)
			took := sweep(t, s.t.Context(), s.router, recs)
			spent := s.net.Stats(s.host).Sub(before)
			held, fewest := 0, 20
			for _, rec := range recs {
				h := s.holders(rec, s.net.Closest(rec.Name().RoutingKey(), 20))
				held, fewest = held+h, min(fewest, h)
				if took[rec.Name()] < h {
					t.Errorf("%d servers hold a record, %d acknowledged it", h, took[rec.Name()])
				}
			}
			t.Logf("%d names, map known: %v: %.2f holders, at least %d; %d questions to explore, %d visits, %.1f puts a name, %d dials",
				names, again, float64(held)/names, fewest, spent.Find, spent.FindSelf, float64(spent.Put)/names, spent.Dials)
			if held < 19*names || fewest < 17 || spent.Put > 24*names || again && spent.Find > 200 {
				t.Errorf("%d holders in all, at least %d, with %+v", held, fewest, spent)
			}
		}
	})
}

// Servers that refuse tell of what they have, and concern nobody else.
func TestSimulatedSweepMeetsNewer(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		recs := manyRecords(t, 100, time.Now().Add(24*time.Hour))
		k := newSigner(t, ipns.Ed25519)
		older, newer := k.record(1, time.Now().Add(time.Hour)), k.record(2, time.Now().Add(time.Hour))
		s.net.Place(newer, 20)
		told := 0
		for ack, err := range s.router.Sweep(s.t.Context(), keyspace.Region{}, slices.Values(append(recs, older))) {
			if err != nil {
				t.Fatal(err)
			}
			if (ack.Name == k.name) != (ack.Err != nil) {
				t.Errorf("ack %+v", ack)
			}
			if ack.Newer != nil && ipns.Compare(ack.Newer, newer) == 0 {
				told++
			}
		}
		if told != 20 {
			t.Errorf("%d servers told of the newer record, want 20", told)
		}
	})
}

func TestSimulatedSweepStops(t *testing.T) {
	simulate(t, 500, simnet.Real15, func(s *simulation) {
		recs := manyRecords(t, 100, time.Now().Add(24*time.Hour))
		for range s.router.Sweep(s.t.Context(), keyspace.Region{}, slices.Values(recs)) {
			break
		}
		ctx, cancel := context.WithTimeout(s.t.Context(), 100*time.Millisecond)
		defer cancel()
		var last error
		for _, err := range s.router.Sweep(ctx, keyspace.Region{}, slices.Values(recs)) {
			last = err
		}
		if !errors.Is(last, context.DeadlineExceeded) {
			t.Errorf("a sweep that was cut short ends with %v", last)
		}
		// A few records of a network that was not explored are put one by one.
		s.forget()
		before := s.net.Stats(s.host)
		sweep(t, s.t.Context(), s.router, recs[:2])
		if spent := s.net.Stats(s.host).Sub(before); spent.RPCs() > 250 {
			t.Errorf("%d requests for two records", spent.RPCs())
		}
	})
}

func TestSweepOfRealServers(t *testing.T) {
	nw := startNetwork(t, 30)
	d, h := startNode(t, dht.Config{})
	join(t, nw, d, h)
	recs := manyRecords(t, 200, time.Now().Add(time.Hour))
	took := sweep(t, t.Context(), d.LAN, recs)
	for _, rec := range recs {
		for i, server := range nw.Closest(rec.Name())[:20] {
			if !slices.Equal(server.Record(rec.Name()), rec.Raw()) {
				t.Fatalf("the %d. closest server does not hold a record that %d took", i+1, took[rec.Name()])
			}
		}
	}
	for _, err := range d.WAN.Sweep(t.Context(), keyspace.Region{}, slices.Values(recs)) {
		if !errors.Is(err, routing.ErrNoTargets) {
			t.Errorf("a network with nobody: %v", err)
		}
	}
}
