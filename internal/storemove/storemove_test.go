package storemove

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
)

// memory is a Database in memory, which can be retired.
type memory struct {
	*recordstore.Memory
	rows    recordstore.Rows
	retired bool
}

func newMemory() *memory {
	return &memory{Memory: recordstore.NewMemory(), rows: new(recordstore.MemoryRows)}
}

func (m *memory) Rows() recordstore.Rows { return m.rows }

// retire is the Retire of a Move from m.
func (m *memory) retire(context.Context) error { m.retired = true; return nil }

var none recordstore.Lease

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// filling fills a store with names of every kind, by numbers that choose among them.
type filling struct {
	t    testing.TB
	db   recordstore.Database
	pick func(n int) int // a number below n
	at   time.Time
}

func (f *filling) swap(e recordstore.Entry) recordstore.Entry {
	f.t.Helper()
	f.at = f.at.Add(time.Minute)
	e.Changed = f.at
	stored, err := f.db.Swap(f.t.Context(), e, none)
	return must(f.t, stored, err)
}

// name stores the name of a seed with up to so many versions.
func (f *filling) name(seed uint64, versions int) {
	f.t.Helper()
	k, ctx := recordstoretest.KeyFromSeed(f.t, seed), f.t.Context()
	gen, err := f.db.Generation(ctx)
	must(f.t, gen, err)
	e := recordstore.Entry{Name: k.Name, Origin: recordstore.Own, Known: gen}
	if f.pick(3) == 0 {
		e.Origin, e.Known, e.Tenant = recordstore.Hosted, recordstore.Generation{}, fmt.Sprintf("tenant %d", f.pick(3))
	}
	if there, err := f.db.Get(ctx, k.Name); err == nil {
		e = there
	} else if f.pick(4) == 0 && e.Origin == recordstore.Own {
		e = f.swap(e) // nothing was published yet
	}
	seq := e.Next
	for n := range versions {
		if n > 0 && f.pick(3) > 0 {
			seq++
		}
		value := recordstoretest.Value(int(seq) * 10)
		if f.pick(5) == 0 && e.Record != nil && e.Record.Sequence() == seq && len(e.Rivals) < recordstore.MaxRivals {
			rival := k.Record(f.t, seq, recordstoretest.Value(int(seq)*10+1+len(e.Rivals)), recordstoretest.Epoch.Add(time.Duration(n)*time.Hour))
			e.Rivals, e.Rival, e.Forks = append(e.Rivals[:len(e.Rivals):len(e.Rivals)], rival), rival, e.Forks+1
			e = f.swap(e)
			continue
		}
		rec := k.Record(f.t, seq, value, recordstoretest.Epoch.Add(time.Duration(n+1)*time.Hour))
		if e.Record == nil || rec.Sequence() > e.Record.Sequence() {
			e.Rivals = nil
		}
		e.Record, e.Mark, e.Next, e.Span, e.Entered = rec, recordstore.MarkOf(rec), seq+1, time.Duration(n)*time.Hour, gen
		e = f.swap(e)
	}
	if f.pick(4) == 0 {
		e.Known, e.Entered = recordstore.Generation{9}, recordstore.Generation{8} // of earlier lives
		e.Next += uint64(f.pick(5))
		e.Pending = e.Record
		e = f.swap(e)
	}
	if e.Record != nil && f.pick(3) > 0 {
		u := recordstore.Upkeep{Name: k.Name, Due: f.at.Add(time.Hour), LastPut: f.at, Announced: e.Record.Hash(), Holders: f.pick(20), LastErr: []string{"", "no answer"}[f.pick(2)]}
		if f.pick(2) == 0 {
			u.Receipt.Networks = []routing.NetworkReceipt{{Network: "wan"}}
		}
		must(f.t, 0, f.db.SetUpkeep(ctx, u))
	}
}

// rest stores marks and rows.
func (f *filling) rest(marks, rows int) {
	f.t.Helper()
	ctx := f.t.Context()
	for n := range marks {
		k := recordstoretest.KeyFromSeed(f.t, uint64(1<<40+n))
		m := recordstore.SeenMark{Name: k.Name, Mark: recordstore.Mark{Sequence: uint64(n), EOL: recordstoretest.Epoch.Add(time.Duration(n)), Hash: [32]byte{byte(n)}}, Until: recordstoretest.Epoch.Add(time.Hour)}
		must(f.t, 0, f.db.SetSeen(ctx, m))
	}
	for n := range rows {
		_, err := f.db.Rows().Swap(ctx, recordstore.Row{Table: fmt.Sprintf("table %d", n%3), Key: fmt.Sprintf("key \x00\xff %d", n), Value: bytes.Repeat([]byte{byte(n)}, n%5)})
		must(f.t, 0, err)
	}
}

// cycle picks numbers that look arbitrary and are the same on every run.
func cycle(seed uint64) func(int) int {
	return func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
}

func fill(t testing.TB, db recordstore.Database, names, marks, rows int) {
	t.Helper()
	f := &filling{t: t, db: db, pick: cycle(uint64(names)), at: recordstoretest.Epoch}
	for n := range names {
		f.name(uint64(n), 1+f.pick(6))
	}
	f.rest(marks, rows)
}

// content lists all that a store has but what is its own, one thing a line.
func content(t testing.TB, db recordstore.Database) string {
	t.Helper()
	ctx := t.Context()
	gen, err := db.Generation(ctx)
	must(t, gen, err)
	var b bytes.Buffer
	for e, err := range db.Scan(ctx, recordstore.Region{}) {
		must(t, e, err)
		w, err := read(ctx, db, e)
		must(t, w, err)
		name, err := nameBytes(w, gen, false)
		must(t, name, err)
		fmt.Fprintf(&b, "%s %x %+v", e.Name, name, w.Upkeep)
		for _, p := range w.Past {
			fmt.Fprintf(&b, " %x", p.Record.Hash())
		}
		b.WriteByte('\n')
	}
	marks := map[ipns.Name]recordstore.SeenMark{}
	for m, err := range db.AllSeen(ctx) {
		must(t, m, err)
		marks[m.Name] = m
	}
	fmt.Fprintf(&b, "%v\n", marks)
	for r, err := range db.Rows().All(ctx) {
		must(t, r, err)
		if r.Table != markerTable {
			fmt.Fprintf(&b, "%q %q %x\n", r.Table, r.Key, r.Value)
		}
	}
	return b.String()
}

func sameContent(t testing.TB, want string, db recordstore.Database) {
	t.Helper()
	if got := content(t, db); got != want {
		t.Fatalf("the stores differ:\n%s\n\n%s", want, got)
	}
}

func TestEverythingArrives(t *testing.T) {
	from, to := newMemory(), newMemory()
	fill(t, from, 700, 600, 50)
	before := content(t, from)
	var told []Progress
	m := Move{From: from, To: to, Retire: from.retire, Tell: func(p Progress) { told = append(told, p) }}
	r, err := m.Run(t.Context())
	must(t, r, err)
	if r.Names != 700 || r.Marks != 600 || r.Rows != 50 || r.Kept != 0 || len(r.Digest) != 64 || !from.retired {
		t.Fatalf("report %+v", r)
	}
	must(t, 0, m.Forget(t.Context()))
	sameContent(t, before, to)
	sameContent(t, before, from)
	if last := told[len(told)-1]; last.Doing != "verifying" || last.Done != 1350 {
		t.Errorf("told last: %+v", last)
	}
	if _, err := to.Rows().Get(t.Context(), markerTable, ""); !errors.Is(err, recordstore.ErrNotFound) {
		t.Error("a note of the move is left")
	}
	// Back, into a store that is not the first one.
	again := newMemory()
	back, err := Move{From: to, To: again, Retire: to.retire}.Run(t.Context())
	must(t, back, err)
	if back.Digest != r.Digest {
		t.Error("the way back has another digest")
	}
	sameContent(t, before, again)
}

// What was known stays so, what was not does not become it.
func TestWhatIsKnownStaysKnown(t *testing.T) {
	from, to := newMemory(), newMemory()
	gen, _ := from.Generation(t.Context())
	later, _ := to.Generation(t.Context())
	k, old := recordstoretest.NewKey(t), recordstoretest.NewKey(t)
	known, unknown := k.Entry(t, 1, recordstoretest.Value(1), recordstore.Own), old.Entry(t, 1, recordstoretest.Value(1), recordstore.Own)
	known.Known, known.Entered = gen, gen
	unknown.Known, unknown.Entered = recordstore.Generation{7}, recordstore.Generation{7}
	for _, e := range []recordstore.Entry{known, unknown} {
		_, err := from.Swap(t.Context(), e, none)
		must(t, 0, err)
	}
	_, err := Move{From: from, To: to, Retire: from.retire}.Run(t.Context())
	must(t, 0, err)
	if e, err := to.Get(t.Context(), k.Name); err != nil || e.Known != later || e.Entered != later {
		t.Errorf("known in %v, entered in %v, the generation is %v: %v", e.Known, e.Entered, later, err)
	}
	if e, err := to.Get(t.Context(), old.Name); err != nil || e.Known != unknown.Known || e.Entered != unknown.Entered {
		t.Errorf("known in %v, entered in %v: %v", e.Known, e.Entered, err)
	}
}

// A move that ends at any step goes on when it is made again, and names that changed in the
// old store meanwhile are as they are there.
func TestMoveGoesOnAfterEachStep(t *testing.T) {
	stopped := errors.New("stopped")
	for _, at := range []string{"compare", "mark", "copy", "retire", "rows", "marks", "sync", "verify", "done"} {
		t.Run(at, func(t *testing.T) {
			from, to := newMemory(), newMemory()
			fill(t, from, 30, 20, 10)
			m := Move{From: from, To: to, Retire: from.retire}
			m.Step = func(step string) error {
				if step == at {
					return stopped
				}
				return nil
			}
			if _, err := m.Run(t.Context()); !errors.Is(err, stopped) {
				t.Fatalf("the move did not end: %v", err)
			}
			if m.Retired = from.retired; !m.Retired {
				// The node runs on its store before the move is made again.
				f := &filling{t: t, db: from, pick: cycle(5), at: recordstoretest.Epoch.Add(24 * time.Hour)}
				for n := range uint64(40) {
					f.name(n, 1+f.pick(3))
				}
				f.rest(40, 0)
			}
			before := content(t, from)
			m.Step = nil
			r, err := m.Run(t.Context())
			must(t, r, err)
			if r.Kept != 0 {
				t.Errorf("%d things were kept", r.Kept)
			}
			sameContent(t, before, to)
			sameContent(t, before, from)
		})
	}
}

// A write of the new store that fails, before it or after it took effect, ends the move; made
// again, it goes on.
func TestMoveGoesOnAfterAnyWriteFailed(t *testing.T) {
	for n := 1; ; n++ {
		from, to := newMemory(), newMemory()
		fill(t, from, 40, 20, 6)
		before := content(t, from)
		writes := 0
		to.Misbehave = func(op recordstore.Op, _ ipns.Name) (bool, error) {
			if op == recordstore.OpSwap || op == recordstore.OpSetSeen || op == recordstore.OpSync {
				if writes++; writes == n {
					return n%2 == 0, errors.New("the disk is gone")
				}
			}
			return true, nil
		}
		m := Move{From: from, To: swaps{to}, Retire: from.retire}
		_, err := m.Run(t.Context())
		if err == nil {
			if n < 10 {
				t.Fatalf("only %d writes", n)
			}
			return
		}
		m.Retired = from.retired
		r, err := m.Run(t.Context())
		if err != nil || r.Kept != 0 {
			t.Fatalf("after write %d: %+v, %v", n, r, err)
		}
		sameContent(t, before, to)
	}
}

// swaps is a Database into which names come by swaps alone.
type swaps struct{ recordstore.Database }
