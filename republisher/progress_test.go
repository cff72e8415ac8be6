package republisher_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/republisher"
)

// TestKilledResumes ends a sweep as kill -9 does: upkeep of the running batch is not
// stored, and the next process repeats at most one region.
func TestKilledResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 3000
		s := newSite(t, 0)
		net := newCloud(t, s)
		net.delay = func(ipns.Name) time.Duration { return time.Second }
		inSector := map[byte]int{}
		for i := range count {
			k := recordstoretest.KeyFromSeed(t, uint64(i))
			s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: s.Now().Add(200 * time.Hour)}, ipns.V2Only, recordstore.Hosted)
			inSector[k.Name.Kad()[0]>>2]++
		}
		most := 0
		for _, n := range inSector {
			most = max(most, n)
		}
		for range 3 {
			var killed atomic.Bool
			s.store.Misbehave = func(op recordstore.Op, _ ipns.Name) (bool, error) {
				if killed.Load() && (op == recordstore.OpSwap || op == recordstore.OpSetUpkeep) {
					return false, errors.New("the process has ended")
				}
				return false, nil
			}
			stop := s.run(t)
			time.Sleep(15*time.Minute + 17*time.Second)
			killed.Store(true)
			stop()
			s.store.Misbehave = nil // no longer called
			s.Republisher = &republisher.Republisher{Book: s.Book, Router: s.Router, Now: s.Now, Signers: s.signer}
		}
		before, _ := net.seen()
		defer s.run(t)()
		time.Sleep(40 * time.Minute) // before the first turn ends
		_, put := net.seen()
		once, twice := 0, 0
		for _, n := range put {
			once++
			twice += n - 1
		}
		t.Logf("%d names in regions of at most %d: killed three times, %d puts before the last start, %d put again", count, most, before, twice)
		if once != count || twice > 3*most || before < 1000 {
			t.Errorf("%d of %d names were put, %d of them again, in regions of at most %d", once, count, twice, most)
		}
	})
}

// TestLanes: a new value, and a name with few holders, are put before those whose turn it
// is.
func TestLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 1000
		s := newSite(t, 0)
		net := newCloud(t, s)
		for i := range count {
			s.add(t, recordstoretest.KeyFromSeed(t, uint64(i)), ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: s.Now().Add(200 * time.Hour)}, ipns.V2Only, recordstore.Hosted)
		}
		stop := s.run(t)
		time.Sleep(time.Hour)
		stop()
		// A day later all are due, and puts are slow.
		time.Sleep(24 * time.Hour)
		fresh, few := recordstoretest.KeyFromSeed(t, 5), recordstoretest.KeyFromSeed(t, 6)
		s.add(t, fresh, ipns.Fields{Value: "/ipfs/bafkqaaa/new", Sequence: 1, EOL: s.Now().Add(100 * time.Hour)}, ipns.V2Only, recordstore.Hosted)
		u := s.upkeep(t, few.Name)
		u.Holders, u.LastErr, u.Due = 3, "announced to 3 of 20", s.Now()
		if err := s.Book.Note(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		var order []ipns.Name
		net.delay = func(name ipns.Name) time.Duration {
			net.mu.Lock()
			defer net.mu.Unlock()
			order = append(order, name)
			return time.Second
		}
		defer s.run(t)()
		time.Sleep(3 * time.Minute)
		if st := s.Status(); st.Late < count/2 || st.PerSecond == 0 || st.ETA < time.Minute || st.RegionsDone == st.Regions {
			t.Errorf("status under way: %+v", st)
		}
		time.Sleep(2 * time.Hour)
		net.mu.Lock()
		defer net.mu.Unlock()
		if i := slices.Index(order, fresh.Name); i != 0 {
			t.Errorf("the new value was put as number %d", i)
		}
		if i := slices.Index(order, few.Name); i != 1 {
			t.Errorf("the name with few holders was put as number %d", i)
		}
		put := map[ipns.Name]bool{}
		for _, name := range order {
			put[name] = true
		}
		if len(put) != count || s.Status().Due != 0 {
			t.Errorf("%d of %d names were put, %d are due", len(put), count, s.Status().Due)
		}
	})
}

// TestOtherWriter: the network has a newer record of an own name. It is taken, reported,
// and put from then on. P-49.
func TestOtherWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		net := newCloud(t, s)
		k := recordstoretest.KeyFromSeed(t, 1)
		s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa/mine", Sequence: 2}, ipns.V2Only, recordstore.Own)
		theirs := k.Record(t, 5, "/ipfs/bafkqaaa/theirs", s.Now().Add(72*time.Hour))
		net.held[k.Name] = make([]*ipns.Record, net.of)
		net.held[k.Name][7] = theirs
		defer s.run(t)()
		time.Sleep(time.Hour)
		if e := s.entry(t, k.Name); e.Record.Hash() != theirs.Hash() || e.Origin != recordstore.Own {
			t.Fatalf("the Book has %v", e.Record)
		}
		if n := net.holders(theirs); n != net.of {
			t.Errorf("%d servers have the newer record", n)
		}
		if st := s.Status(); !slices.Equal(st.OtherWriters, []string{k.Name.String()}) {
			t.Errorf("other writers: %v", st.OtherWriters)
		}
	})
}

// TestSurvival: names are put more often where servers forget them, less often where they
// do not, and own names never less often than configured.
func TestSurvival(t *testing.T) {
	const days = 4
	keys, _ := crowd(t, 1100)
	for _, tt := range []struct {
		what             string
		forgets          int // of 20 servers, every hour
		hosted, own      time.Duration
		lowest, greatest float64
	}{
		{"nothing is forgotten", 0, 24 * time.Hour, 4 * time.Hour, 0.99, 1},
		{"some forget", 5, 12 * time.Hour, 4 * time.Hour, 0.7, 0.8},
		{"most forget", 12, 6 * time.Hour, 2 * time.Hour, 0.35, 0.45},
	} {
		for origin, period := range map[recordstore.Origin]time.Duration{recordstore.Own: tt.own, recordstore.Hosted: tt.hosted} {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 0)
				net := newCloud(t, s)
				var records []*ipns.Record
				for i, k := range keys {
					f := ipns.Fields{Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", i), EOL: s.Now().Add(2000 * time.Hour)}
					records = append(records, s.add(t, k, f, ipns.V2Only, origin))
				}
				defer s.run(t)()
				forget := func(d time.Duration) {
					for range d / time.Hour {
						time.Sleep(time.Hour)
						net.forget(tt.forgets)
					}
				}
				forget(2 * 24 * time.Hour)
				_, before := net.seen()
				forget(days * 24 * time.Hour)
				_, after := net.seen()
				puts := 0
				for _, rec := range records {
					puts += after[rec.Hash()] - before[rec.Hash()]
				}
				mean, want := float64(puts)/float64(len(records)), float64(days*24*time.Hour)/float64(period)
				st := s.Status()
				t.Logf("%s, %v: survival %.2f, %.1f puts of a name in %d days; %.0f RPCs and %.0f bytes a name and day",
					tt.what, origin, st.Survival, mean, days, st.RPCsPerNameDay, st.BytesPerNameDay)
				if mean < 0.9*want || mean > 1.1*want || st.Survival < tt.lowest || st.Survival > tt.greatest {
					t.Errorf("%s, %v: want %.1f puts; %+v", tt.what, origin, want, st)
				}
			})
		}
	}
}

// TestShortLives keeps records alive whose lifetime is shorter than a turn.
func TestShortLives(t *testing.T) {
	for _, life := range []time.Duration{20 * time.Minute, time.Hour, 3 * time.Hour, 5 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, 0)
			net := newCloud(t, s)
			k := recordstoretest.KeyFromSeed(t, 1)
			s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: s.Now().Add(life)}, ipns.V2Only, recordstore.Own)
			defer s.run(t)()
			time.Sleep(10 * time.Minute)
			for range 3 * 24 * 60 {
				time.Sleep(time.Minute)
				if best := net.best(k.Name); best == nil || best.Expired(s.Now()) {
					t.Fatalf("a record that lives for %v has expired on the network: %v", life, best)
				}
			}
			puts, _ := net.seen()
			t.Logf("%v: %d puts in 3 days", life, puts)
		})
	}
}

// TestRunNeeds: Run fails without a store or a network.
func TestRunNeeds(t *testing.T) {
	if err := (&republisher.Republisher{}).Run(t.Context()); err == nil {
		t.Error("runs without a Book")
	}
	r := &republisher.Republisher{Book: &names.Book{Store: recordstore.NewMemory()}}
	if st, err := r.Look(t.Context()); err != nil || st.ScannedAt.IsZero() || st.RegionsDone != st.Regions {
		t.Errorf("an empty store: %+v, %v", st, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&republisher.Republisher{Book: r.Book}).Look(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of its context: %v", err)
	}
}

// TestRevived: after a long absence an own record that has expired is renewed, a hosted
// one is dropped, and a name that was never published is not put. P-42, P-47, P-48.
func TestRevived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		net := newCloud(t, s)
		own, hosted, never := recordstoretest.KeyFromSeed(t, 1), recordstoretest.KeyFromSeed(t, 2), recordstoretest.KeyFromSeed(t, 3)
		f := ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 4}
		first := s.add(t, own, f, ipns.V1V2, recordstore.Own)
		s.add(t, hosted, f, ipns.V1V2, recordstore.Hosted)
		if err := s.Book.Create(t.Context(), never.Name); err != nil {
			t.Fatal(err)
		}
		s.keys[never.Name] = never
		time.Sleep(100 * time.Hour)
		defer s.run(t)()
		time.Sleep(time.Hour)
		best := net.best(own.Name)
		if best == nil || best.Sequence() != 4 || best.Value() != first.Value() || best.EOL().Sub(s.Now()) < 46*time.Hour {
			t.Errorf("the own record became %v", best)
		}
		if net.best(hosted.Name) != nil || net.best(never.Name) != nil {
			t.Error("an expired or never published name was put")
		}
		if st := s.Status(); st.Own != 1 || st.Hosted != 0 || st.Expired != 0 || st.Renewed != 1 {
			t.Errorf("status %+v", st)
		}
	})
}

// TestPace: routine names are put evenly, new and late ones as fast as possible.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, _ := crowd(t, 6400) // 100 in a sector, each 675 s
		s := newSite(t, 0)
		net := newCloud(t, s)
		for _, k := range keys {
			s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: s.Now().Add(2000 * time.Hour)}, ipns.V2Only, recordstore.Hosted)
		}
		paces := func() (list []float64) {
			net.mu.Lock()
			defer net.mu.Unlock()
			list, net.paces = slices.Compact(net.paces), nil
			return list
		}
		stop := s.run(t)
		time.Sleep(30 * time.Minute)
		if list := paces(); len(list) != 1 || list[0] != 0 {
			t.Errorf("new values at paces of %v", list)
		}
		time.Sleep(24 * time.Hour) // every sector has had its turn
		paces()
		time.Sleep(12 * time.Hour)
		list := paces()
		slices.Sort(list)
		// 100 names of 20 copies in two minutes are 16.7 a second.
		if most := list[len(list)-1]; most < 16 || most > 50 {
			t.Errorf("routine names at up to %v puts a second", most)
		}
		stop()
		time.Sleep(24 * time.Hour) // all are late
		defer s.run(t)()
		time.Sleep(3 * time.Minute)
		if list := paces(); slices.Max(list) != 0 {
			t.Errorf("late names at paces of %v", list)
		}
	})
}

// A name without holders is listed as at risk as soon as its announcement has ended, and
// one for which no server answers, as soon as it has timed out.
func TestANameThatNobodyHoldsIsAtRisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		told := s.add(t, recordstoretest.KeyFromSeed(t, 1), ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V2Only, recordstore.Own)
		s.add(t, recordstoretest.KeyFromSeed(t, 2), ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V2Only, recordstore.Own)
		look := func(when string, want int) {
			t.Helper()
			st, err := s.Look(t.Context())
			if err != nil || st.AtRiskCount != want || st.FewHolders != want {
				t.Errorf("%s: %d at risk, %d with few holders, %v, want %d", when, st.AtRiskCount, st.FewHolders, err, want)
			}
			for _, a := range st.AtRisk {
				if !strings.HasPrefix(a.Reason, "nobody holds it") {
					t.Errorf("%s: because %s", when, a.Reason)
				}
			}
		}
		look("while they are announced", 0)
		if err := s.Book.Note(t.Context(), recordstore.Upkeep{Name: told.Name(), Announced: told.Hash(), LastErr: "announced to nobody: wan is away", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		look("when one was announced to nobody", 1)
		time.Sleep(5 * time.Minute)
		look("when nobody has told of the other", 2)
	})
}
