// Package recordstoretest is the contract of recordstore.Store as a test: each
// implementation passes it, also those written elsewhere.
package recordstoretest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
)

// Epoch is the time at which the records of the test are signed.
var Epoch = time.Date(2026, 11, 20, 12, 0, 0, 123456789, time.UTC)

// Key is a name and its signer.
type Key struct {
	Name   ipns.Name
	Signer ipns.Signer
}

// NewKey makes an Ed25519 key.
func NewKey(t testing.TB) Key {
	t.Helper()
	priv, pub, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newKey(t, priv, pub)
}

// KeyFromSeed makes the Ed25519 key of a number: always the same one.
func KeyFromSeed(t testing.TB, seed uint64) Key {
	t.Helper()
	var b [ed25519.SeedSize]byte
	copy(b[:], fmt.Sprintf("seed %d", seed))
	priv, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(b[:]))
	if err != nil {
		t.Fatal(err)
	}
	return newKey(t, priv, priv.GetPublic())
}

func newKey(t testing.TB, priv crypto.PrivKey, pub crypto.PubKey) Key {
	t.Helper()
	name, err := ipns.NameOf(pub)
	if err != nil {
		t.Fatal(err)
	}
	return Key{Name: name, Signer: ipns.NewSigner(priv)}
}

// Record signs a record of an hour from eol-1h to eol.
func (k Key) Record(t testing.TB, seq uint64, value string, eol time.Time) *ipns.Record {
	t.Helper()
	rec, err := ipns.Sign(context.Background(), k.Signer, ipns.Fields{
		Value: value, Sequence: seq, EOL: eol, TTL: time.Minute, HighSequence: true,
	}, ipns.V2Only)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// Value makes a content path of a number.
func Value(n int) string { return fmt.Sprintf("/ipns/example.com/%d", n) }

// Entry is the entry that a record makes.
func (k Key) Entry(t testing.TB, seq uint64, value string, origin recordstore.Origin) recordstore.Entry {
	t.Helper()
	rec := k.Record(t, seq, value, Epoch.Add(time.Hour))
	return recordstore.Entry{
		Name: k.Name, Record: rec, Mark: recordstore.MarkOf(rec), Next: seq + 1, Origin: origin, Changed: Epoch,
	}
}

// Run runs the whole contract. open returns an empty store each time; Run closes it.
func Run(t *testing.T, open func(t *testing.T) recordstore.Store) {
	tests := []struct {
		name string
		test func(*testing.T, recordstore.Store)
	}{
		{"Entry", testEntry},
		{"Conflict", testConflict},
		{"MarkNeverGoesBack", testMark},
		{"Refused", testRefused},
		{"Scan", testScan},
		{"Due", testDue},
		{"Upkeep", testUpkeep},
		{"HistoryOwn", testHistoryOwn},
		{"HistoryHosted", testHistoryHosted},
		{"Seen", testSeen},
		{"Changes", testChanges},
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
	stored, err := s.Swap(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// Equal reports how two entries differ, "" if they do not.
func Equal(a, b recordstore.Entry) string {
	raw := func(list ...*ipns.Record) string {
		s := ""
		for _, r := range list {
			if r != nil {
				s += fmt.Sprintf("%x;", r.Raw())
			}
		}
		return s
	}
	flat := func(e recordstore.Entry) string {
		return fmt.Sprintf("%v|%s|%s|%s|%d|%d %d %x|%d|%v|%q|%x|%d|%d", e.Name, raw(e.Record), raw(e.Rivals...), raw(e.Staged...),
			e.Forks, e.Mark.Sequence, e.Mark.EOL.UnixNano(), e.Mark.Hash, e.Next, e.Origin, e.Tenant, e.Known, e.Changed.UnixNano(), e.Version)
	}
	if x, y := flat(a), flat(b); x != y {
		return fmt.Sprintf("\n %s\n %s", x, y)
	}
	return ""
}

func testEntry(t *testing.T, s recordstore.Store) {
	ctx, k := t.Context(), NewKey(t)
	if _, err := s.Get(ctx, k.Name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Fatalf("Get of an unknown name: %v", err)
	}
	e := k.Entry(t, 7, Value(1), recordstore.Own)
	e.Rivals = []*ipns.Record{k.Record(t, 7, Value(2), Epoch.Add(time.Minute))}
	e.Staged = []*ipns.Record{k.Record(t, 8, Value(3), Epoch.Add(2*time.Hour)), k.Record(t, 9, Value(4), Epoch.Add(3*time.Hour))}
	e.Forks, e.Tenant, e.Known = 3, "tenant ü", recordstore.Generation{1, 2, 15: 3}
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

func testConflict(t *testing.T, s recordstore.Store) {
	k := NewKey(t)
	first := k.Entry(t, 1, Value(1), recordstore.Own)
	stored := mustSwap(t, s, first)
	second := k.Entry(t, 2, Value(2), recordstore.Own)
	for _, version := range []uint64{0, stored.Version + 1, stored.Version + 1<<40} {
		second.Version = version
		if _, err := s.Swap(t.Context(), second); !errors.Is(err, recordstore.ErrConflict) {
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

func testMark(t *testing.T, s recordstore.Store) {
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
		t.Fatalf("mark went with the record: %v", got.Mark)
	}
}

func testRefused(t *testing.T, s recordstore.Store) {
	k, other := NewKey(t), NewKey(t)
	e := k.Entry(t, 1, Value(1), recordstore.Own)
	rec := other.Record(t, 1, Value(1), Epoch)
	for what, spoil := range map[string]func(*recordstore.Entry){
		"no name":                func(e *recordstore.Entry) { e.Name = ipns.Name{} },
		"record of another name": func(e *recordstore.Entry) { e.Record = rec },
		"rival of another name":  func(e *recordstore.Entry) { e.Rivals = []*ipns.Record{rec} },
		"too many rivals": func(e *recordstore.Entry) {
			e.Rivals = slices.Repeat([]*ipns.Record{e.Record}, recordstore.MaxRivals+1)
		},
	} {
		bad := e
		spoil(&bad)
		if _, err := s.Swap(t.Context(), bad); err == nil {
			t.Errorf("%s: stored", what)
		}
	}
	if err := s.SetUpkeep(t.Context(), recordstore.Upkeep{Name: k.Name, Receipt: make([]byte, recordstore.MaxReceipt+1)}); err == nil {
		t.Error("oversized receipt: stored")
	}
}

func testScan(t *testing.T, s recordstore.Store) {
	const names = 700 // more than any implementation reads at once
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

func testDue(t *testing.T, s recordstore.Store) {
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

func testUpkeep(t *testing.T, s recordstore.Store) {
	ctx, k := t.Context(), NewKey(t)
	if u, err := s.Upkeep(ctx, k.Name); err != nil || u.Name != k.Name || !u.Due.IsZero() {
		t.Fatalf("upkeep of an unknown name: %+v, %v", u, err)
	}
	stored := mustSwap(t, s, k.Entry(t, 1, Value(1), recordstore.Own))
	want := recordstore.Upkeep{
		Name: k.Name, Due: Epoch, LastPut: Epoch.Add(-time.Hour), Announced: [32]byte{5}, Holders: 17, LastErr: "why", Receipt: []byte("{}"),
	}
	if err := s.SetUpkeep(ctx, recordstore.Upkeep{Name: k.Name, Holders: 3}, want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Upkeep(ctx, k.Name)
	if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Fatalf("upkeep %+v, want %+v, %v", got, want, err)
	}
	next := k.Entry(t, 2, Value(2), recordstore.Own)
	next.Version = stored.Version
	mustSwap(t, s, next) // bookkeeping in between is no conflict
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

func testHistoryOwn(t *testing.T, s recordstore.Store) {
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

func testHistoryHosted(t *testing.T, s recordstore.Store) {
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

func testSeen(t *testing.T, s recordstore.Store) {
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

func testChanges(t *testing.T, s recordstore.Store) {
	k := NewKey(t)
	first := mustSwap(t, s, k.Entry(t, 1, Value(1), recordstore.Own))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, got := make(chan struct{}), make(chan recordstore.Change, 16)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(got)
		close(ready)
		for c, err := range s.Changes(ctx, 0) {
			if err != nil {
				return
			}
			got <- c
		}
	})
	<-ready
	// Since 0 means from now on, and "now" is when the iteration starts: write
	// until the first change arrives.
	version := first.Version
	var change recordstore.Change
	for seq := uint64(2); change.Position == 0; seq++ {
		e := k.Entry(t, seq, Value(int(seq)), recordstore.Own)
		e.Version = version
		version = mustSwap(t, s, e).Version
		select {
		case change = <-got:
		case <-time.After(20 * time.Millisecond):
		}
	}
	cancel()
	wg.Wait()
	if change.Entry.Name != k.Name || change.Entry.Record.Sequence() < 2 {
		t.Fatalf("change of %s, sequence %d", change.Entry.Name, change.Entry.Record.Sequence())
	}
	e := k.Entry(t, 1000, Value(1000), recordstore.Own)
	e.Version = version
	e = mustSwap(t, s, e)
	for c, err := range s.Changes(t.Context(), change.Position) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Position <= change.Position {
			t.Fatalf("position went from %d to %d", change.Position, c.Position)
		}
		if change = c; c.Entry.Version == e.Version {
			break
		}
	}
	for _, err := range s.Changes(t.Context(), change.Position+1<<40) {
		if !errors.Is(err, recordstore.ErrGap) {
			t.Fatalf("changes after a position that never was: %v", err)
		}
	}
}

func testOneWriterWins(t *testing.T, s recordstore.Store) {
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
				stored, err := s.Swap(t.Context(), next)
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

func testGeneration(t *testing.T, s recordstore.Store) {
	a, err := s.Generation(t.Context())
	if err != nil || a == (recordstore.Generation{}) {
		t.Fatalf("generation %x, %v", a, err)
	}
	if b, _ := s.Generation(t.Context()); a != b {
		t.Fatalf("generation changed from %x to %x", a, b)
	}
}

func testClosed(t *testing.T, s recordstore.Store) {
	ctx, k := t.Context(), NewKey(t)
	e := mustSwap(t, s, k.Entry(t, 1, Value(1), recordstore.Own))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, get := s.Get(ctx, k.Name)
	_, swap := s.Swap(ctx, e)
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
	for _, err := range s.Changes(ctx, 0) {
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
