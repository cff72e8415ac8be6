package postgres

import (
	"context"
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/routing"
)

const (
	writers     = 64
	idleFor     = 20 * time.Second // of a large run
	largeEnough = 100_000          // names from which on the pages that every table has do not count
)

var loadOnly = flag.Bool("load-only", false, "leave out the swaps of all names")

// Names are loaded, planned, put and renewed once. There is one change for each name, and
// with many names the sizes are as promised.
func TestSizesOfADatabaseOfNames(t *testing.T) {
	server := pgtest.Start(t, settings...)
	url := server.Database(t)
	s := newStore(t, url)
	n := *names
	report := func(when string) float64 {
		list, total := tables(t, url)
		each := float64(total) / float64(n)
		t.Logf("%s: %.0f bytes a name", when, each)
		for _, x := range list {
			if x.rows > 0 {
				t.Logf("  %-8s %8d rows, %5.0f + %4.0f bytes a name", x.name, x.rows, float64(x.heap)/float64(n), float64(x.rest)/float64(n))
			}
			if x.name == "changes" && x.rows != int64(n) {
				t.Errorf("%d changes of %d names", x.rows, n)
			}
		}
		return each
	}

	var before log
	cost := func(what string) {
		now := written(t, url)
		t.Logf("  %s: %.0f bytes of log, %.2f waits for the disk a name", what, float64(now.bytes-before.bytes)/float64(n), float64(now.syncs-before.syncs)/float64(n))
		before = now
	}
	var took time.Duration
	all := make([]ipns.Name, n)
	eol := time.Now().Add(48 * time.Hour)
	for from := 0; from < n; from += recordstore.MaxLoad {
		chunk := make([]recordstore.Whole, min(recordstore.MaxLoad, n-from))
		parallel(4, len(chunk), func(i int) {
			name, signer := key(t, from+i)
			all[from+i] = name
			chunk[i].Entry = entry(name, record(t, signer, 1, eol), "tenant")
		})
		begin := time.Now()
		if there, err := s.Load(t.Context(), chunk); err != nil || len(there) > 0 {
			t.Fatal(there, err)
		}
		took += time.Since(begin)
	}
	t.Logf("load of %d names: %v", n, took)
	cost("load")
	fresh := report("fresh")
	plan(t, s, "fresh")

	begin := time.Now()
	parallel(4, (n+499)/500, func(i int) {
		var notes []recordstore.Upkeep
		for _, name := range all[i*500 : min(n, i*500+500)] {
			notes = append(notes, recordstore.Upkeep{
				Name: name, Due: time.Now().Add(12 * time.Hour), LastPut: time.Now(), Announced: [32]byte{1}, Holders: 20,
				Receipt: routing.Receipt{Networks: []routing.NetworkReceipt{{Network: "wan", Announced: 20, Of: 20}}},
			})
		}
		if err := s.SetUpkeep(t.Context(), notes...); err != nil {
			t.Error(err)
		}
	})
	t.Logf("upkeep of all: %v", time.Since(begin))
	cost("upkeep")
	renewed := func(seq uint64, eol time.Time) {
		begin := time.Now()
		parallel(writers, n, func(i int) {
			e, err := s.Get(t.Context(), all[i])
			if err != nil {
				t.Error(err)
				return
			}
			_, signer := key(t, i)
			next := entry(all[i], record(t, signer, seq, eol), e.Tenant)
			next.Version = e.Version
			if _, err := s.Swap(t.Context(), next, recordstore.Lease{}); err != nil {
				t.Error(err)
			}
		})
		t.Logf("all read, signed and swapped by %d: %v", writers, time.Since(begin))
		cost("swaps")
	}
	plan(t, s, "with upkeep")
	if *loadOnly {
		return
	}
	renewed(1, eol.Add(24*time.Hour))
	passed := report("after a pass that renews all")
	plan(t, s, "after a pass")
	if n < 5*largeEnough {
		renewed(2, eol.Add(48*time.Hour))
		report("after all have a new value, too")
	}
	if n >= largeEnough {
		if fresh > 1200 || passed > 1800 {
			t.Errorf("%.0f bytes a name when fresh, and %.0f after a pass; wanted are 1200 and 1800 at most", fresh, passed)
		}
		idle(t, server, url)
	}
}

// plan reads what is due in one of 64 sectors.
func plan(t *testing.T, s *postgres.Store, when string) {
	var all []time.Duration
	found := 0
	for i := range 9 {
		region := keyspace.Region{Bits: 6}
		region.Prefix[0] = byte(i*7) << 2
		begin := time.Now()
		for _, err := range s.Due(t.Context(), region, time.Now().Add(24*time.Hour)) {
			if err != nil {
				t.Fatal(err)
			}
			found++
		}
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	t.Logf("a sector of %d names, all of them due, is read in %v (%v to %v), %s", found/len(all), all[len(all)/2], all[0], all[len(all)-1], when)
}

// idle measures three daemons that wait for changes and extend their leases.
func idle(t *testing.T, server *pgtest.Server, url string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 3 {
		s := newStore(t, url)
		go func() {
			for range s.Changes(ctx, "") {
			}
		}()
		go func() {
			var regions []recordstore.Region
			for j := i; j < 64; j += 3 {
				r := keyspace.Region{Bits: 6}
				r.Prefix[0] = byte(j) << 2
				regions = append(regions, r)
			}
			for ctx.Err() == nil {
				_, _ = s.Lease(ctx, string(rune('a'+i)), 15*time.Second, regions...)
				select {
				case <-time.After(5 * time.Second):
				case <-ctx.Done():
				}
			}
		}()
	}
	time.Sleep(2 * time.Second)
	before := cpu(server)
	time.Sleep(idleFor)
	t.Logf("idle load of three daemons: %.1f %% of a core in the database", 100*float64(cpu(server)-before)/float64(idleFor))
}
