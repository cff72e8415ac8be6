package dht_test

import (
	"context"
	"errors"
	"flag"
	"iter"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/internal/leaktest"
	"github.com/goipns/ipns/internal/simnet"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

var sweepNames = flag.Int("sweep.names", 500, "names that TestSweepOfRealServers sweeps")

// newRecords returns records of n names, in the order of their Kademlia ids.
func newRecords(t *testing.T, n int) []*ipns.Record {
	t.Helper()
	records := make([]*ipns.Record, n)
	for i := range records {
		records[i] = newSigner(t, ipns.Ed25519).record(1, time.Now().Add(48*time.Hour))
	}
	sortByKad(records)
	return records
}

func sortByKad(records []*ipns.Record) {
	slices.SortFunc(records, func(a, b *ipns.Record) int {
		return keyspace.Key(a.Name().Kad()).Compare(b.Name().Kad())
	})
}

// swept is the result of a sweep.
type swept struct {
	took  map[ipns.Name]int            // targets that took the record, without extra ones
	extra int                          // extra copies
	newer map[ipns.Name][]*ipns.Record // newer records that were reported
	errs  map[string]int               // failures by target
	of    int
	err   error
}

// collect runs a sweep to its end.
func collect(t *testing.T, acks iter.Seq2[routing.Ack, error]) *swept {
	t.Helper()
	s := &swept{took: map[ipns.Name]int{}, newer: map[ipns.Name][]*ipns.Record{}, errs: map[string]int{}}
	type pair struct {
		name   ipns.Name
		target string
	}
	told := map[pair]bool{}
	for ack, err := range acks {
		if err != nil {
			s.err = err
			continue
		}
		if told[pair{ack.Name, ack.Target}] {
			t.Errorf("two acks of %s for one record", ack.Target)
		}
		told[pair{ack.Name, ack.Target}] = true
		s.of = max(s.of, ack.Of)
		switch {
		case ack.Err != nil:
			s.errs[ack.Target]++
		case ack.Extra:
			s.extra++
		default:
			s.took[ack.Name]++
		}
		if ack.Newer != nil {
			s.newer[ack.Name] = append(s.newer[ack.Name], ack.Newer)
		}
	}
	return s
}

func (s *simulation) sweep(records []*ipns.Record) *swept {
	s.t.Helper()
	return collect(s.t, s.router.Sweep(s.t.Context(), keyspace.Region{}, slices.Values(records)))
}

// copies returns how many of the closest 20 live servers hold each record: the average
// and the minimum.
func (s *simulation) copies(records []*ipns.Record) (mean float64, least int) {
	least = 20
	for _, rec := range records {
		n := s.holders(rec, s.net.Closest(rec.Name().RoutingKey(), 20))
		mean += float64(n) / float64(len(records))
		least = min(least, n)
	}
	return mean, least
}

func TestSimulatedSweep(t *testing.T) {
	servers, names := upTo(1000, 500), upTo(400, 200)
	simulate(t, servers, simnet.Real15, func(s *simulation) {
		records := newRecords(t, names)
		before := s.net.Stats(s.host)
		got := s.sweep(records)
		cost := s.net.Stats(s.host).Sub(before)
		mean, least := s.copies(records)
		t.Logf("first sweep: %.2f copies of 20, at least %d; %+v", mean, least, cost)
		if got.err != nil || mean < 19.95 || least < 18 {
			t.Errorf("%.2f copies on average, at least %d: %v", mean, least, got.err)
		}
		if cost.Find > int64(servers*9/10) || cost.FindSelf > int64(servers) || cost.Get > 0 || cost.Put > int64(names*21) {
			t.Errorf("that cost %+v", cost)
		}
		for _, rec := range records {
			if n := got.took[rec.Name()]; n != 20 {
				t.Errorf("%d servers counted for one name, want 20", n)
			}
		}
		if got.of != 20 || got.extra > len(records) {
			t.Errorf("of %d, %d extra", got.of, got.extra)
		}

		// The second sweep knows the servers, and queries them for what they took. Some
		// corrupt what they have.
		var spoiling int
		for i, p := range s.net.Closest(records[0].Name().RoutingKey(), 1000) {
			if i%5 == 0 {
				s.net.Behave(p.ID, simnet.Lying)
				spoiling++
			}
		}
		time.Sleep(2 * time.Hour)
		before = s.net.Stats(s.host)
		if got := s.sweep(records); got.err != nil {
			t.Error(got.err)
		}
		cost = s.net.Stats(s.host).Sub(before)
		kept := s.router.Survival(keyspace.Region{})
		t.Logf("second sweep: %+v; %+v, %d spoil", cost, kept, spoiling)
		// A few do not answer in time, and count neither way.
		if cost.Find > 0 || cost.FindSelf+cost.Get > int64(2*servers) || cost.Get < int64(kept.Asked) || cost.Get > int64(kept.Asked)+10 {
			t.Errorf("that cost %+v, and told of %+v", cost, kept)
		}
		age := kept.Age / time.Duration(max(1, kept.Asked))
		if kept.Asked < servers*7/10 || kept.Held < kept.Asked-spoiling || kept.Held > kept.Asked-spoiling*9/10 ||
			age < 2*time.Hour-time.Minute || age > 2*time.Hour+2*time.Minute {
			t.Errorf("%d servers spoil what they have, but the sweep found %+v", spoiling, kept)
		}
	})
}

// A sweep in many regions is as good as one of the whole key space, and explores no more.
func TestSimulatedSweepByRegion(t *testing.T) {
	servers := upTo(2000, 1000)
	simulate(t, servers, simnet.Real15, func(s *simulation) {
		const bits = 4
		records := newRecords(t, upTo(640, 320))
		before := s.net.Stats(s.host)
		for i := range 1 << bits {
			region := keyspace.RegionOf(keyspace.Key{byte(i << (8 - bits))}, bits)
			mine := slices.DeleteFunc(slices.Clone(records), func(r *ipns.Record) bool { return !region.Contains(r.Name().Kad()) })
			if got := collect(s.t, s.router.Sweep(s.t.Context(), region, slices.Values(mine))); got.err != nil {
				t.Fatal(got.err)
			}
		}
		cost := s.net.Stats(s.host).Sub(before)
		mean, least := s.copies(records)
		t.Logf("%.2f copies of 20, at least %d; %+v", mean, least, cost)
		if mean < 19.95 || least < 18 || cost.Find > int64(servers) || cost.FindSelf > int64(2*servers) {
			t.Errorf("%.2f copies on average, at least %d; %+v", mean, least, cost)
		}
	})
}

// For a few records it is not worth exploring an unknown network.
func TestSimulatedSweepOfFew(t *testing.T) {
	simulate(t, upTo(2000, 1000), simnet.Real15, func(s *simulation) {
		records := newRecords(t, 3)
		before := s.net.Stats(s.host)
		got := s.sweep(records)
		mean, _ := s.copies(records)
		if cost := s.net.Stats(s.host).Sub(before); got.err != nil || mean < 19 || cost.RPCs() > 3*150 {
			t.Errorf("%.2f copies on average for %+v: %v", mean, cost, got.err)
		}
		if got := s.sweep(nil); got.err != nil || len(got.took) > 0 {
			t.Errorf("sweeping nothing: %+v", got)
		}
	})
}

// Servers that refuse everything, or new records, or one record of which they have a
// newer one, do not affect other records.
func TestSimulatedSweepRefused(t *testing.T) {
	profile := simnet.Ideal
	profile.Refusing, profile.Full = 0.05, 0.05
	simulate(t, 600, profile, func(s *simulation) {
		records := newRecords(t, upTo(1000, 300))
		var updated []*ipns.Record
		for range 20 {
			k := newSigner(t, ipns.Ed25519)
			records = append(records, k.record(1, time.Now().Add(48*time.Hour)))
			newer := k.record(2, time.Now().Add(48*time.Hour))
			updated = append(updated, newer)
			s.net.Place(newer, 5)
		}
		sortByKad(records)
		got := s.sweep(records)
		if got.err != nil {
			t.Fatal(got.err)
		}
		for _, newer := range updated {
			told := got.newer[newer.Name()]
			if len(told) == 0 || slices.ContainsFunc(told, func(r *ipns.Record) bool { return ipns.Compare(r, newer) != 0 }) {
				t.Errorf("of a newer record at 5 servers, %d told", len(told))
			}
			if n := got.took[newer.Name()] + len(told); n < 20 {
				t.Errorf("%d servers took the older record or told of the newer one, want 20", n)
			}
		}
		for _, rec := range records {
			if n := got.took[rec.Name()]; n < 20 && got.newer[rec.Name()] == nil {
				t.Errorf("%d servers took a record, want 20: those that refuse are replaced", n)
			}
		}
	})
}

// If all servers that should hold a record have a newer one, each reports it.
func TestSimulatedSweepMeetsNewer(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		k := newSigner(t, ipns.Ed25519)
		older, newer := k.record(1, time.Now().Add(time.Hour)), k.record(2, time.Now().Add(time.Hour))
		s.net.Place(newer, 20)
		records := append(newRecords(t, 100), older)
		sortByKad(records)
		got := s.sweep(records)
		if told := got.newer[k.name]; len(told) != 20 || got.took[k.name] != 0 || got.err != nil {
			t.Errorf("%d servers told of the newer record, want 20: %v", len(told), got.err)
		}
		if len(got.took) != 100 || s.net.Holders(newer) != 20 {
			t.Errorf("%d names were put, %d servers hold the newer record", len(got.took), s.net.Holders(newer))
		}
	})
}

// The servers around some names die after a first sweep, others become slow. The next
// closest replace the dead, and the slow delay no other.
func TestSimulatedSweepDeadAndSlow(t *testing.T) {
	simulate(t, upTo(1000, 500), simnet.Ideal, func(s *simulation) {
		records := newRecords(t, upTo(300, 200))
		s.sweep(records[100:])
		for _, rec := range records[:10] {
			for i, p := range s.net.Closest(rec.Name().RoutingKey(), 12) {
				if i%3 == 0 {
					s.net.Slow(p.ID, 3*time.Second)
				} else {
					s.net.Behave(p.ID, simnet.Dead)
				}
			}
		}
		start, most := time.Now(), time.Duration(0)
		took := map[ipns.Name]int{}
		for ack, err := range s.router.Sweep(s.t.Context(), keyspace.Region{}, slices.Values(records)) {
			if err != nil {
				t.Fatal(err)
			}
			if ack.Err == nil && !ack.Extra {
				if took[ack.Name]++; took[ack.Name] == 15 {
					most = max(most, time.Since(start))
				}
			}
		}
		mean, least := s.copies(records)
		t.Logf("15 copies of the last name after %v; all after %v; %.2f copies, at least %d", most, time.Since(start), mean, least)
		if mean < 19.95 || least < 18 || most > 30*time.Second {
			t.Errorf("%.2f copies, at least %d; 15 of each after %v", mean, least, most)
		}
	})
}

// A sweep stops at once when the caller breaks or ctx ends. synctest.Test checks that no
// goroutine is left.
func TestSimulatedSweepStops(t *testing.T) {
	simulate(t, 500, simnet.Real15, func(s *simulation) {
		records := newRecords(t, 200)
		for _, after := range []int{1, 100, 2000} {
			count := 0
			for _, err := range s.router.Sweep(s.t.Context(), keyspace.Region{}, slices.Values(records)) {
				if err != nil {
					t.Fatal(err)
				}
				if count++; count == after {
					break
				}
			}
			at := time.Now()
			synctest.Wait()
			if d := time.Since(at); d > 0 {
				t.Errorf("a sweep went on for %v", d)
			}
		}
		for _, after := range []time.Duration{10 * time.Millisecond, time.Second, 10 * time.Second} {
			s.forget()
			ctx, cancel := context.WithTimeout(s.t.Context(), after)
			start := time.Now()
			got := collect(s.t, s.router.Sweep(ctx, keyspace.Region{}, slices.Values(records)))
			cancel()
			if !errors.Is(got.err, context.DeadlineExceeded) || time.Since(start) > after {
				t.Errorf("ctx ended after %v: %v after %v", after, got.err, time.Since(start))
			}
		}
	})
}

// Without a network a sweep says so; once there is one, it works.
func TestSweepWithoutNetwork(t *testing.T) {
	d, h := startNode(t, dht.Config{})
	records := newRecords(t, 30)
	got := collect(t, d.LAN.Sweep(t.Context(), keyspace.Region{}, slices.Values(records)))
	if !errors.Is(got.err, routing.ErrNoTargets) {
		t.Errorf("a sweep of no network: %v", got.err)
	}
	nw := testnet.ForTest(t, 6)
	join(t, nw, d, h)
	got = collect(t, d.LAN.Sweep(t.Context(), keyspace.Region{}, slices.Values(records)))
	if got.err != nil || got.of != 6 {
		t.Errorf("of %d servers: %v", got.of, got.err)
	}
	for _, rec := range records {
		if n := len(nw.Holders(rec.Name())); n != 6 || got.took[rec.Name()] != 6 {
			t.Errorf("%d servers hold a record, %d took it, want 6", n, got.took[rec.Name()])
		}
	}
}

// Real servers on loopback, swept region by region: at least 18 of the closest 20 have
// each name sampled, and no goroutine or stream is left.
func TestSweepOfRealServers(t *testing.T) {
	defer leaktest.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) {
		nw := testnet.ForTest(t, 50)
		d, h := startNode(t, dht.Config{})
		join(t, nw, d, h)
		d.LAN.Ripen(time.Nanosecond)
		names := *sweepNames
		if testing.Short() {
			names = min(names, 150)
		}
		records := newRecords(t, names)
		for cycle := range 2 {
			cpu, start := processCPU(t), time.Now()
			const bits = 2
			for i := range 1 << bits {
				region := keyspace.RegionOf(keyspace.Key{byte(i << (8 - bits))}, bits)
				from, _ := slices.BinarySearchFunc(records, region.First(), byKad)
				to, _ := slices.BinarySearchFunc(records, region.Last(), byKad)
				got := collect(t, d.LAN.Sweep(t.Context(), region, slices.Values(records[from:to])))
				if got.err != nil || len(got.errs) > 0 {
					t.Errorf("region %v: %v; failures %v", region, got.err, got.errs)
				}
			}
			n := time.Duration(len(records))
			t.Logf("cycle %d: %d names on 50 servers in %v, %v a name; %v of processor a name, servers included",
				cycle, n, time.Since(start), time.Since(start)/n, (processCPU(t)-cpu)/n)
		}
		if kept := d.LAN.Survival(keyspace.Region{}); kept.Asked < 40 || kept.Held != kept.Asked {
			t.Errorf("servers keep everything, but the sweep found %+v", kept)
		}
		for i := 0; i < len(records); i += max(1, len(records)/100) {
			name, held := records[i].Name(), 0
			for _, s := range nw.Closest(name)[:20] {
				if slices.Equal(s.Record(name), records[i].Raw()) {
					held++
				}
			}
			if held < 18 {
				t.Errorf("%d of the closest 20 hold name %d, want 18", held, i)
			}
		}
	})
}

func byKad(rec *ipns.Record, key keyspace.Key) int {
	return keyspace.Key(rec.Name().Kad()).Compare(key)
}

func processCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A sweep keeps the pace that was set, and follows a new one at once.
func TestSimulatedSweepPace(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		records := newRecords(t, upTo(500, 100))
		puts := 20 * len(records)
		s.sweep(records) // the network is known from now on
		took := func() time.Duration {
			start := time.Now()
			if got := s.sweep(records); got.err != nil {
				t.Fatal(got.err)
			}
			return time.Since(start)
		}
		free := took()
		s.router.Pace(float64(puts) / 10)
		paced := took()
		time.AfterFunc(4*time.Second, func() { s.router.Pace(0) })
		freed := took()
		t.Logf("%d puts: %v; %v at %d a second; %v when that is lifted after 4s", puts, free, paced, puts/10, freed)
		if paced < 9*time.Second || paced > 12*time.Second+free || freed < 4*time.Second || freed > 6*time.Second+free {
			t.Errorf("not at the pace")
		}
	})
}

// A sweep that may not go on any more, though nobody has ended its context yet, begins no
// visit: at most what is in the windows of the visits in progress goes out. No server is
// taken for dead because of it.
func TestSimulatedSweepBeginsNothingThatItMayNot(t *testing.T) {
	simulate(t, upTo(1000, 500), simnet.Real15, func(s *simulation) {
		records := newRecords(t, upTo(400, 200))
		s.explore()
		known := s.router.Map().Len()
		s.router.Pace(float64(len(records))) // 20 seconds
		var over atomic.Bool
		ctx := routing.While(s.t.Context(), func() bool { return !over.Load() })
		before := s.net.Stats(s.host)
		var at simnet.Stats
		go func() { // the first puts come when the first servers of a region have been found
			for range 600 {
				time.Sleep(100 * time.Millisecond)
				if at = s.net.Stats(s.host).Sub(before); at.Put >= 100 {
					break
				}
			}
			over.Store(true)
		}()
		var end error
		for _, err := range s.router.Sweep(ctx, keyspace.Region{}, slices.Values(records)) {
			end = err
		}
		if end == nil {
			t.Error("the sweep says that it has done all")
		}
		time.Sleep(time.Minute)
		after := s.net.Stats(s.host).Sub(before)
		t.Logf("%d puts until then, %d in all; %v", at.Put, after.Put, end)
		if at.Put == 0 || at.Put > int64(len(records)*15) {
			t.Fatalf("%d puts by then: this tests nothing", at.Put)
		}
		// In a paced sweep few visits are in progress at a time.
		if more := after.Put - at.Put; more > 64*8 || more > int64(len(records)*20)/10 {
			t.Errorf("%d puts that it might not make", more)
		}
		if now := s.router.Map().Len(); now < known {
			t.Errorf("of %d servers, %d are known", known, now)
		}
		if err := putError(s, ctx, records[0]); !errors.Is(err, routing.ErrNotHeld) {
			t.Errorf("a put: %v", err)
		}
	})
}

// putError puts a record and returns the last error.
func putError(s *simulation, ctx context.Context, rec *ipns.Record) (last error) {
	for ack, err := range s.router.Put(ctx, rec, routing.Look{}) {
		if err != nil {
			return err
		}
		last = ack.Err
	}
	return last
}
