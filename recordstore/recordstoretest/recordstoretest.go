// Package recordstoretest holds the tests that every implementation of package
// recordstore must pass, including those written elsewhere.
//
// [Run] is for every Store, with its Notes and Marks, and [Doubt] for one whose writes
// can be held up. [Crashes] is for stores that survive a power cut. [RunRows] is for
// Rows, [RunLeases] for a Leaser, [RunLoads] for a Loader.
package recordstoretest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
)

// Store combines the three interfaces about names.
type Store interface {
	recordstore.Store
	recordstore.Notes
	recordstore.Marks
}

// none is the zero lease.
var none recordstore.Lease

// Run runs the whole contract. open returns an empty store each time; Run closes it.
func Run(t *testing.T, open func(t *testing.T) Store) {
	tests := []struct {
		name string
		test func(*testing.T, Store)
	}{
		{"Entry", testEntry},
		{"Conflict", testConflict},
		{"MarkNeverGoesBack", testMark},
		{"Refused", testRefused},
		{"Forget", testForget},
		{"Lease", testLease},
		{"Scan", testScan},
		{"Due", testDue},
		{"Upkeep", testUpkeep},
		{"HistoryOwn", testHistoryOwn},
		{"HistoryHosted", testHistoryHosted},
		{"Seen", testSeen},
		{"Changes", testChanges},
		{"ChangesWait", testChangesWait},
		{"PositionOfAnotherLife", testForeignPosition},
		{"OneWriterWins", testOneWriterWins},
		{"Generation", testGeneration},
		{"Closed", testClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			defer s.Close()
			tt.test(t, s)
		})
	}
}

func mustSwap(t testing.TB, s recordstore.Store, e recordstore.Entry) recordstore.Entry {
	t.Helper()
	stored, err := s.Swap(t.Context(), e, none)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func testEntry(t *testing.T, s Store) {
	ctx, k := t.Context(), NewKey(t)
	if _, err := s.Get(ctx, k.Name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Fatalf("Get of an unknown name: %v", err)
	}
	e := k.Entry(t, 7, Value(1), recordstore.Own)
	e.Rivals = []*ipns.Record{k.Record(t, 7, Value(2), Epoch.Add(time.Minute))}
	e.Staged = []*ipns.Record{k.Record(t, 8, Value(3), Epoch.Add(2*time.Hour)), k.Record(t, 9, Value(4), Epoch.Add(3*time.Hour))}
	e.Forks, e.Tenant, e.Known = 3, "tenant ü", recordstore.Generation{1, 2, 15: 3}
	e.Entered, e.Span = recordstore.Generation{4, 15: 5}, 90*time.Minute
	e.Rival, e.Pending = e.Rivals[0], e.Record
	stored := mustSwap(t, s, e)
	e.Version = stored.Version
	if d := Equal(e, stored); d != "" {
		t.Fatalf("Swap returned another entry: %s", d)
	}
	got, err := s.Get(ctx, k.Name)
	if err != nil {
		t.Fatal(err)
	}
	if d := Equal(stored, got); d != "" {
		t.Fatalf("Get returned another entry: %s", d)
	}
	empty := recordstore.Entry{Name: NewKey(t).Name, Origin: recordstore.Own, Changed: Epoch}
	empty = mustSwap(t, s, empty)
	if got, err = s.Get(ctx, empty.Name); err != nil || Equal(empty, got) != "" || !got.Mark.IsZero() {
		t.Fatalf("entry without a record: %v %v %s", got, err, Equal(empty, got))
	}
}

func testConflict(t *testing.T, s Store) {
	k := NewKey(t)
	first := k.Entry(t, 1, Value(1), recordstore.Own)
	stored := mustSwap(t, s, first)
	second := k.Entry(t, 2, Value(2), recordstore.Own)
	for _, version := range []uint64{0, stored.Version + 1, stored.Version + 1<<40} {
		second.Version = version
		if _, err := s.Swap(t.Context(), second, none); !errors.Is(err, recordstore.ErrConflict) {
			t.Fatalf("Swap with version %d over %d: %v", version, stored.Version, err)
		}
	}
	if got, err := s.Get(t.Context(), k.Name); err != nil || Equal(got, stored) != "" {
		t.Fatalf("a conflict changed the entry: %v %s", err, Equal(got, stored))
	}
	second.Version = stored.Version
	if again := mustSwap(t, s, second); again.Version <= stored.Version {
		t.Fatalf("version went from %d to %d", stored.Version, again.Version)
	}
}

func testMark(t *testing.T, s Store) {
	k := NewKey(t)
	stored := mustSwap(t, s, k.Entry(t, 9, Value(1), recordstore.Own))
	low := k.Entry(t, 3, Value(2), recordstore.Own)
	low.Version = stored.Version
	got := mustSwap(t, s, low)
	if got.Mark != stored.Mark || got.Next != stored.Next {
		t.Fatalf("mark went back to %v, next %d", got.Mark, got.Next)
	}
	gone := recordstore.Entry{Name: k.Name, Version: got.Version}
	if got = mustSwap(t, s, gone); got.Mark != stored.Mark {
		t.Fatalf("mark was lost with the record: %v", got.Mark)
	}
}

func testRefused(t *testing.T, s Store) {
	k, other := NewKey(t), NewKey(t)
	e := k.Entry(t, 1, Value(1), recordstore.Own)
	rec := other.Record(t, 1, Value(1), Epoch)
	for what, spoil := range map[string]func(*recordstore.Entry){
		"no name":                func(e *recordstore.Entry) { e.Name = ipns.Name{} },
		"record of another name": func(e *recordstore.Entry) { e.Record = rec },
		"rival of another name":  func(e *recordstore.Entry) { e.Rivals = []*ipns.Record{rec} },
		"last rival of another":  func(e *recordstore.Entry) { e.Rival = rec },
		"pending of another":     func(e *recordstore.Entry) { e.Pending = rec },
		"too many rivals": func(e *recordstore.Entry) {
			e.Rivals = slices.Repeat([]*ipns.Record{e.Record}, recordstore.MaxRivals+1)
		},
	} {
		bad := e
		spoil(&bad)
		if _, err := s.Swap(t.Context(), bad, none); err == nil {
			t.Errorf("%s: stored", what)
		}
	}
}

func testScan(t *testing.T, s Store) {
	const names = 700 // more than any implementation reads in one chunk
	var ids []keyspace.Key
	for i := range names {
		k := KeyFromSeed(t, uint64(i))
		mustSwap(t, s, k.Entry(t, uint64(i), Value(i), recordstore.Hosted))
		ids = append(ids, k.Name.Kad())
	}
	slices.SortFunc(ids, keyspace.Key.Compare)
	for _, bits := range []int{0, 1, 3, 9, keyspace.Bits} {
		region := keyspace.RegionOf(ids[names/3], bits)
		var want, got []keyspace.Key
		for _, id := range ids {
			if region.Contains(id) {
				want = append(want, id)
			}
		}
		for e, err := range s.Scan(t.Context(), region) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Name.Kad())
		}
		if !slices.Equal(want, got) {
			t.Fatalf("region %v: %d names out of %d, or in another order", region, len(got), len(want))
		}
	}
	n := 0
	for _, err := range s.Scan(t.Context(), recordstore.Region{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.Scan(ctx, recordstore.Region{}) {
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("Scan after the end of its context: %v", err)
		}
	}
}

func testDue(t *testing.T, s Store) {
	now := Epoch
	due := map[ipns.Name]bool{}
	for i := range 40 {
		k := KeyFromSeed(t, uint64(i))
		e := k.Entry(t, 1, Value(i), recordstore.Hosted)
		u := recordstore.Upkeep{Name: k.Name}
		switch i % 4 {
		case 0:
			u.Due = now.Add(-time.Second)
			due[k.Name] = true
		case 1:
			u.Due = now
		case 2:
			due[k.Name] = true // never noted
		case 3:
			e.Record = nil
		}
		mustSwap(t, s, e)
		if !u.Due.IsZero() {
			if err := s.SetUpkeep(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
	}
	var last keyspace.Key
	n := 0
	for w, err := range s.Due(t.Context(), recordstore.Region{}, now) {
		if err != nil {
			t.Fatal(err)
		}
		id := keyspace.Key(w.Entry.Name.Kad())
		if !due[w.Entry.Name] || w.Upkeep.Name != w.Entry.Name || id.Compare(last) <= 0 {
			t.Fatalf("%s: due %v, upkeep of %s, after %x", w.Entry.Name, due[w.Entry.Name], w.Upkeep.Name, last)
		}
		last = id
		n++
	}
	if n != len(due) {
		t.Fatalf("%d names due, want %d", n, len(due))
	}
}
