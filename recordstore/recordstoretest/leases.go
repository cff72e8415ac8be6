package recordstoretest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
)

// LeasedStore is a Store that gives leases.
type LeasedStore interface {
	recordstore.Store
	recordstore.Leaser
}

// RunLeases runs the contract of a Leaser. open returns the stores of two processes that
// share their names, or one store twice; RunLeases closes them.
func RunLeases(t *testing.T, open func(t *testing.T) (a, b LeasedStore)) {
	for _, tt := range []struct {
		name string
		test func(t *testing.T, a, b LeasedStore)
	}{
		{"OneHolder", testOneHolder},
		{"TakenOver", testTakenOver},
		{"Swap", testLeasedSwap},
		{"Several", testSeveralLeases},
		{"OneOfManyGetsIt", testOneOfManyGetsIt},
		{"Refused", testLeaseRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := open(t)
			defer func() { a.Close(); b.Close() }()
			tt.test(t, a, b)
		})
	}
}

const (
	briefly = 300 * time.Millisecond
	long    = recordstore.MaxLease
)

// sector returns the nth of 64 regions.
func sector(n int) recordstore.Region {
	return keyspace.RegionOf(keyspace.Key{byte(n << 2)}, 6)
}

// lease leases one region, which must be free.
func lease(t testing.TB, s recordstore.Leaser, holder string, ttl time.Duration, r recordstore.Region) recordstore.Lease {
	t.Helper()
	list, err := s.Lease(t.Context(), holder, ttl, r)
	if err != nil || len(list) != 1 || list[0].Region != r || list[0].Holder != holder || list[0].Epoch == 0 {
		t.Fatalf("lease of %v for %s: %+v, %v", r, holder, list, err)
	}
	return list[0]
}

// refused checks that a region has another holder.
func refused(t testing.TB, s recordstore.Leaser, holder string, r recordstore.Region) {
	t.Helper()
	if list, err := s.Lease(t.Context(), holder, long, r); err != nil || len(list) != 0 {
		t.Fatalf("%s got %v, which is held: %+v, %v", holder, r, list, err)
	}
}

// taken leases a region once the lease of another holder has ended.
func taken(t testing.TB, s recordstore.Leaser, holder string, r recordstore.Region) recordstore.Lease {
	t.Helper()
	for {
		list, err := s.Lease(t.Context(), holder, long, r)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 1 {
			return list[0]
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A region has one holder at a time, which may extend its lease and release it.
func testOneHolder(t *testing.T, a, b LeasedStore) {
	first := lease(t, a, "a", long, sector(3))
	refused(t, b, "b", sector(3))
	if again := lease(t, a, "a", long, sector(3)); again != first {
		t.Errorf("extended: %+v in place of %+v", again, first)
	}
	if err := b.Release(t.Context(), recordstore.Lease{Region: sector(3), Holder: "b", Epoch: first.Epoch}); err != nil {
		t.Error(err)
	}
	refused(t, b, "b", sector(3))
	if err := a.Release(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	next := lease(t, b, "b", long, sector(3))
	if next.Epoch <= first.Epoch {
		t.Errorf("the epoch went from %d to %d", first.Epoch, next.Epoch)
	}
	if err := a.Release(t.Context(), first); err != nil { // as a daemon that was paused does
		t.Error(err)
	}
	refused(t, a, "a", sector(3))
}

// A lease that has ended is taken under a higher epoch, also by the one that had it.
func testTakenOver(t *testing.T, a, b LeasedStore) {
	begin := time.Now()
	first := lease(t, a, "a", briefly, sector(0))
	next := taken(t, b, "b", sector(0))
	if time.Since(begin) < briefly || next.Epoch <= first.Epoch {
		t.Errorf("after %v: %+v", time.Since(begin), next)
	}
	begin = time.Now()
	own := lease(t, a, "a", briefly, sector(1))
	for time.Since(begin) <= 2*briefly { // the store ends it no later than that, whatever it waits for
		time.Sleep(briefly / 4)
	}
	if again := lease(t, a, "a", long, sector(1)); again.Epoch <= own.Epoch {
		t.Errorf("the same holder got the epoch %d again", again.Epoch)
	}
}

// A swap under a lease needs that lease to be current, and the name to be in its region.
func testLeasedSwap(t *testing.T, a, b LeasedStore) {
	ctx, k, other := t.Context(), NewKey(t), NewKey(t)
	region := keyspace.RegionOf(k.Name.Kad(), 6)
	for region.Contains(other.Name.Kad()) {
		other = NewKey(t)
	}
	first := lease(t, a, "a", briefly, region)
	e, err := a.Swap(ctx, k.Entry(t, 1, Value(1), recordstore.Own), first)
	if errors.Is(err, recordstore.ErrLease) { // this machine is that slow
		first = lease(t, a, "a", long, region)
		e, err = a.Swap(ctx, k.Entry(t, 1, Value(1), recordstore.Own), first)
		_ = a.Release(ctx, first)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Swap(ctx, other.Entry(t, 1, Value(1), recordstore.Own), first); !errors.Is(err, recordstore.ErrLease) {
		t.Errorf("a swap in another region: %v", err)
	}
	now := taken(t, b, "b", region)
	next := k.Entry(t, 2, Value(2), recordstore.Own)
	next.Version = e.Version
	if _, err := a.Swap(ctx, next, first); !errors.Is(err, recordstore.ErrLease) {
		t.Errorf("a swap under the old lease: %v", err)
	}
	forged := now
	forged.Holder = "a"
	if _, err := a.Swap(ctx, next, forged); !errors.Is(err, recordstore.ErrLease) {
		t.Errorf("a swap under the lease of another: %v", err)
	}
	if got, err := b.Get(ctx, k.Name); err != nil || got.Version != e.Version {
		t.Errorf("it changed the entry to version %d, %v", got.Version, err)
	}
	if e, err = b.Swap(ctx, next, now); err != nil {
		t.Fatalf("a swap under the new lease: %v", err)
	}
	// Publishes need no lease: any process, with the version.
	next.Version = e.Version
	if _, err = a.Swap(ctx, next, none); err != nil {
		t.Errorf("a swap without a lease: %v", err)
	}
	if err := b.Release(ctx, now); err != nil {
		t.Fatal(err)
	}
	next.Version = e.Version
	if _, err := b.Swap(ctx, next, now); !errors.Is(err, recordstore.ErrLease) {
		t.Errorf("a swap under a lease that was released: %v", err)
	}
}

// Several leases are asked for at once; those that others have are left out.
func testSeveralLeases(t *testing.T, a, b LeasedStore) {
	ctx := t.Context()
	if list, err := a.Leases(ctx); err != nil || len(list) != 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	lease(t, b, "b", long, sector(2))
	got, err := a.Lease(ctx, "a", long, sector(3), sector(1), sector(2))
	if err != nil || len(got) != 2 || got[0].Region == got[1].Region || got[0].Region == sector(2) || got[1].Region == sector(2) {
		t.Fatalf("%+v, %v", got, err)
	}
	if none, err := a.Lease(ctx, "a", long); err != nil || len(none) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
	check := func(want ...string) {
		t.Helper()
		list, err := b.Leases(ctx)
		var holders []string
		for i, l := range list {
			if l.Region != sector(i+1) || l.Epoch == 0 || (l.Left > 0) != (l.Holder != "") || l.Left > long {
				t.Errorf("%+v", l)
			}
			holders = append(holders, l.Holder)
		}
		if err != nil || !slices.Equal(holders, want) {
			t.Errorf("%q in place of %q, %v", holders, want, err)
		}
	}
	check("a", "b", "a")
	if err := a.Release(ctx, got...); err != nil {
		t.Fatal(err)
	}
	check("", "b", "")
	if err := a.Release(ctx); err != nil {
		t.Fatal(err)
	}
}

// Of many that want a region at once, one gets it; epochs are never given twice.
func testOneOfManyGetsIt(t *testing.T, a, b LeasedStore) {
	ctx := t.Context()
	regions := []recordstore.Region{sector(0), sector(1), sector(2), sector(3), sector(4)}
	var mu sync.Mutex
	given := make(map[recordstore.Lease]bool)
	for round := range 5 {
		var group sync.WaitGroup
		var all []recordstore.Lease
		for i := range 8 {
			s, holder := a, string(rune('a'+i))
			if i%2 == 1 {
				s = b
			}
			wanted := slices.Clone(regions)
			if i%3 == 0 {
				slices.Reverse(wanted)
			}
			group.Go(func() {
				list, err := s.Lease(ctx, holder, long, wanted...)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, list...)
			})
		}
		group.Wait()
		if len(all) != len(regions) {
			t.Fatalf("round %d: %d leases of %d regions: %+v", round, len(all), len(regions), all)
		}
		for _, l := range all {
			for old := range given {
				if old.Region == l.Region && old.Epoch >= l.Epoch {
					t.Errorf("the epoch went from %+v to %+v", old, l)
				}
			}
			given[l] = true
			if err := a.Release(ctx, l); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func testLeaseRefused(t *testing.T, a, _ LeasedStore) {
	for _, bad := range []struct {
		holder string
		ttl    time.Duration
	}{{"", long}, {"a", 0}, {"a", -time.Second}, {"a", long + 1}, {string(make([]byte, recordstore.MaxHolder+1)), long}} {
		if list, err := a.Lease(t.Context(), bad.holder, bad.ttl, sector(0)); err == nil {
			t.Errorf("%+v: %+v", bad, list)
		}
	}
}
