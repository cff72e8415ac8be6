package recordstoretest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

func testUpkeep(t *testing.T, s Store) {
	ctx, k := t.Context(), NewKey(t)
	if u, err := s.Upkeep(ctx, k.Name); err != nil || u.Name != k.Name || !u.Due.IsZero() {
		t.Fatalf("upkeep of an unknown name: %+v, %v", u, err)
	}
	stored := mustSwap(t, s, k.Entry(t, 1, Value(1), recordstore.Own))
	want := recordstore.Upkeep{
		Name: k.Name, Due: Epoch, LastPut: Epoch.Add(-time.Hour), Announced: [32]byte{5}, Holders: 17, LastErr: "why", Receipt: receipt(3),
	}
	if err := s.SetUpkeep(ctx, recordstore.Upkeep{Name: k.Name, Holders: 3}, want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Upkeep(ctx, k.Name)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("upkeep %+v, want %+v, %v", got, want, err)
	}
	want.Receipt = receipt(recordstore.MaxReceipt / 50)
	if err := s.SetUpkeep(ctx, want); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Upkeep(ctx, k.Name); err != nil || !reflect.DeepEqual(got.Receipt, want.Receipt.Figures()) {
		t.Fatalf("a receipt that is too long is kept as %v, %v", got.Receipt, err)
	}
	next := k.Entry(t, 2, Value(2), recordstore.Own)
	next.Version = stored.Version
	mustSwap(t, s, next) // notes in between cause no conflict
}

// receipt returns a receipt with the given number of targets.
func receipt(targets int) routing.Receipt {
	n := routing.NetworkReceipt{Network: "wan", Announced: 1, Of: targets}
	for i := range targets {
		newer := uint64(i)
		n.Targets = append(n.Targets, routing.TargetReceipt{
			Target: fmt.Sprintf("peer %d", i), Reason: "has a newer one", Newer: &newer, RTT: time.Duration(i),
		})
	}
	return routing.Receipt{Networks: []routing.NetworkReceipt{n}}
}

func history(t testing.TB, s recordstore.Store, name ipns.Name) (list []recordstore.Past) {
	t.Helper()
	for p, err := range s.History(t.Context(), name) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func testHistoryOwn(t *testing.T, s Store) {
	k := NewKey(t)
	if list := history(t, s, k.Name); len(list) != 0 {
		t.Fatalf("unknown name has %d versions", len(list))
	}
	var e recordstore.Entry
	const versions = 3 * recordstore.HostedHistory
	for i := range versions {
		for renewal := range 2 {
			next := k.Entry(t, uint64(i), Value(i), recordstore.Own)
			next.Record = k.Record(t, uint64(i), Value(i), Epoch.Add(time.Duration(renewal)*time.Hour))
			next.Version = e.Version
			next.Changed = Epoch.Add(time.Duration(i) * time.Minute)
			e = mustSwap(t, s, next)
		}
	}
	e.Rivals = []*ipns.Record{k.Record(t, versions-1, "/ipns/example.com/rival", Epoch)}
	mustSwap(t, s, e)
	list := history(t, s, k.Name)
	if len(list) != versions+1 {
		t.Fatalf("%d versions, want %d and a rival", len(list), versions)
	}
	if list[1].Record.Value() != "/ipns/example.com/rival" {
		t.Fatalf("second version is %s", list[1].Record.Value())
	}
	for i, p := range slices.Delete(list, 1, 2) {
		n := versions - 1 - i
		if p.Record.Sequence() != uint64(n) || p.Record.Value() != Value(n) || !p.Record.EOL().Equal(Epoch.Add(time.Hour)) || !p.At.Equal(Epoch.Add(time.Duration(n)*time.Minute)) {
			t.Fatalf("version %d: sequence %d, %s, %v, entered %v", n, p.Record.Sequence(), p.Record.Value(), p.Record.EOL(), p.At)
		}
	}
}

func testHistoryHosted(t *testing.T, s Store) {
	k := NewKey(t)
	var version uint64
	for i := range 2 * recordstore.HostedHistory {
		e := k.Entry(t, uint64(i), Value(i), recordstore.Hosted)
		e.Version = version
		version = mustSwap(t, s, e).Version
	}
	list := history(t, s, k.Name)
	if len(list) != recordstore.HostedHistory {
		t.Fatalf("%d versions of a hosted name, want %d", len(list), recordstore.HostedHistory)
	}
	if first := list[0].Record.Sequence(); first != 2*recordstore.HostedHistory-1 {
		t.Fatalf("newest version has sequence %d", first)
	}
}

func testSeen(t *testing.T, s Store) {
	ctx := t.Context()
	if _, err := s.Seen(ctx, NewKey(t).Name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Fatalf("mark of an unknown name: %v", err)
	}
	const names = 50
	mark := func(i int, seq uint64) recordstore.SeenMark {
		return recordstore.SeenMark{
			Name:  KeyFromSeed(t, uint64(i)).Name,
			Mark:  recordstore.Mark{Sequence: seq, EOL: Epoch, Hash: [32]byte{byte(i)}},
			Until: Epoch.Add(time.Duration(i) * time.Second),
		}
	}
	for i := range names {
		if err := s.SetSeen(ctx, mark(i, 4), mark(i, 5), mark(i, 3)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetSeen(ctx, mark(0, 2)); err != nil {
		t.Fatal(err)
	}
	for i := range names {
		if got, err := s.Seen(ctx, mark(i, 5).Name); err != nil || got != mark(i, 5) {
			t.Fatalf("mark %d: %+v, %v", i, got, err)
		}
	}
	if err := s.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	for e := range s.Scan(ctx, recordstore.Region{}) {
		t.Fatalf("seen name %s has an entry", e.Name)
	}
	all := make(map[ipns.Name]recordstore.SeenMark)
	for m, err := range s.AllSeen(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		all[m.Name] = m
	}
	for i := range names {
		if all[mark(i, 5).Name] != mark(i, 5) || len(all) != names {
			t.Fatalf("mark %d of all %d: %+v", i, len(all), all[mark(i, 5).Name])
		}
	}
	for _, step := range []struct{ before, limit, left int }{{10, 1000, 40}, {10, 7, 7}, {0, 7, 7}} {
		left, err := s.PruneSeen(ctx, Epoch.Add(time.Duration(step.before)*time.Second), step.limit)
		if err != nil || left != step.left {
			t.Fatalf("prune before %d, limit %d: %d left, want %d, %v", step.before, step.limit, left, step.left, err)
		}
	}
	for i := range names {
		_, err := s.Seen(ctx, mark(i, 5).Name)
		if kept := i >= names-7; kept != (err == nil) {
			t.Fatalf("mark %d after pruning: %v", i, err)
		}
	}
}

func testOneWriterWins(t *testing.T, s Store) {
	const names, writers, rounds = 4, 8, 25
	var wins [names]struct {
		sync.Mutex
		by map[uint64]int // who won, by version
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds * names {
				n := i % names
				k := KeyFromSeed(t, uint64(n))
				e, err := s.Get(t.Context(), k.Name)
				if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
					t.Error(err)
					return
				}
				next := k.Entry(t, e.Version, Value(w), recordstore.Own)
				next.Version = e.Version
				stored, err := s.Swap(t.Context(), next, none)
				if errors.Is(err, recordstore.ErrConflict) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				wins[n].Lock()
				if wins[n].by == nil {
					wins[n].by = make(map[uint64]int)
				}
				if other, taken := wins[n].by[stored.Version]; taken {
					t.Errorf("writers %d and %d both made version %d", other, w, stored.Version)
				}
				wins[n].by[stored.Version] = w
				wins[n].Unlock()
			}
		})
	}
	wg.Wait()
	for n := range names {
		e, err := s.Get(t.Context(), KeyFromSeed(t, uint64(n)).Name)
		if err != nil {
			t.Fatal(err)
		}
		if w := wins[n].by[e.Version]; e.Record.Value() != Value(w) {
			t.Errorf("the last winner wrote %s, stored is %s", Value(w), e.Record.Value())
		}
	}
}

func testGeneration(t *testing.T, s Store) {
	a, err := s.Generation(t.Context())
	if err != nil || a == (recordstore.Generation{}) {
		t.Fatalf("generation %x, %v", a, err)
	}
	if b, _ := s.Generation(t.Context()); a != b {
		t.Fatalf("generation changed from %x to %x", a, b)
	}
}

func testClosed(t *testing.T, s Store) {
	ctx, k := t.Context(), NewKey(t)
	e := mustSwap(t, s, k.Entry(t, 1, Value(1), recordstore.Own))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, get := s.Get(ctx, k.Name)
	_, swap := s.Swap(ctx, e, none)
	_, upkeep := s.Upkeep(ctx, k.Name)
	_, seen := s.Seen(ctx, k.Name)
	for op, err := range map[string]error{
		"Get": get, "Swap": swap, "Upkeep": upkeep, "Seen": seen,
		"SetUpkeep": s.SetUpkeep(ctx, recordstore.Upkeep{Name: k.Name}), "Sync": s.Sync(ctx),
	} {
		if !errors.Is(err, recordstore.ErrClosed) {
			t.Errorf("%s after Close: %v", op, err)
		}
	}
	for _, err := range s.Changes(ctx, "") {
		if !errors.Is(err, recordstore.ErrClosed) {
			t.Errorf("Changes after Close: %v", err)
		}
	}
	for _, err := range s.Scan(ctx, recordstore.Region{}) {
		if !errors.Is(err, recordstore.ErrClosed) {
			t.Errorf("Scan after Close: %v", err)
		}
	}
}
