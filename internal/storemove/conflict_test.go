package storemove

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// put swaps a new entry in.
func put(t testing.TB, db recordstore.Database, e recordstore.Entry) {
	t.Helper()
	_, err := db.Swap(t.Context(), e, none)
	must(t, 0, err)
}

// A name or row of the new store that the old one has otherwise is a conflict, which is named.
// Neither store is changed.
func TestConflictsAreNamedAndChangeNothing(t *testing.T) {
	k := recordstoretest.NewKey(t)
	newer := k.Entry(t, 5, recordstoretest.Value(5), recordstore.Own)
	older := k.Entry(t, 4, recordstoretest.Value(4), recordstore.Own)
	hosted := k.Entry(t, 6, recordstoretest.Value(6), recordstore.Hosted)
	reserved := newer
	reserved.Next = 9
	tenant := newer
	tenant.Tenant = "somebody"
	for what, there := range map[string]recordstore.Entry{"older": older, "hosted": hosted, "of a tenant": tenant} {
		from, to := newMemory(), newMemory()
		fill(t, from, 5, 3, 3)
		fill(t, to, 7, 3, 0)
		was := newer
		if what == "older" {
			was = reserved
		}
		put(t, from, was)
		put(t, to, there)
		before, after := content(t, from), content(t, to)
		_, err := Move{From: from, To: to, Retire: from.retire}.Run(t.Context())
		var c *Conflict
		if !errors.As(err, &c) || !strings.Contains(err.Error(), k.Name.String()) {
			t.Errorf("%s: %v", what, err)
		}
		if from.retired {
			t.Errorf("%s: the old store is retired", what)
		}
		sameContent(t, before, from)
		sameContent(t, after, to)
	}
	from, to := newMemory(), newMemory()
	for db, value := range map[*memory]string{from: "one", to: "other"} {
		_, err := db.Rows().Swap(t.Context(), recordstore.Row{Table: "t", Key: "k", Value: []byte(value)})
		must(t, 0, err)
	}
	_, err := Move{From: from, To: to, Retire: from.retire}.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), `"t"/"k"`) || from.retired {
		t.Errorf("a row: %v", err)
	}
}

// A move that was interrupted goes on, also if a hosted name has had more versions since than
// are kept.
func TestHostedNameMayChangeOftenBeforeAMoveGoesOn(t *testing.T) {
	ctx, k, from, to := t.Context(), recordstoretest.NewKey(t), newMemory(), newMemory()
	entry := func(seq uint64) recordstore.Entry {
		e := k.Entry(t, seq, recordstoretest.Value(int(seq)), recordstore.Hosted)
		e.Tenant, e.Changed = "ann", recordstoretest.Epoch.Add(time.Duration(seq)*time.Minute)
		if had, err := from.Get(ctx, k.Name); err == nil {
			e.Version = had.Version
		}
		return e
	}
	put(t, from, entry(1))
	m := Move{From: from, To: to, Retire: from.retire}
	interrupted := errors.New("interrupted")
	m.Step = func(step string) error {
		if step == "retire" {
			return interrupted
		}
		return nil
	}
	if _, err := m.Run(ctx); !errors.Is(err, interrupted) || from.retired {
		t.Fatal(err)
	}
	for seq := range uint64(2 * recordstore.HostedHistory) {
		put(t, from, entry(seq+2))
	}
	m.Step = nil
	if r, err := m.Run(ctx); err != nil || r.Names != 1 || r.Kept != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	sameContent(t, content(t, from), to)
}

// Many conflicts are counted, and some named.
func TestManyConflictsAreCounted(t *testing.T) {
	from, to := newMemory(), newMemory()
	for range 3 * maxTold {
		k := recordstoretest.NewKey(t)
		put(t, from, k.Entry(t, 5, recordstoretest.Value(5), recordstore.Own))
		put(t, to, k.Entry(t, 4, recordstoretest.Value(4), recordstore.Own))
	}
	_, err := Move{From: from, To: to, Retire: from.retire}.Run(t.Context())
	var c *Conflict
	if !errors.As(err, &c) || len(c.Names) != maxTold || c.More != 2*maxTold {
		t.Errorf("%v", err)
	}
}

// What the new store knows more of stays as it is there, and its other names are not touched.
func TestNamesOfTheNewStoreStay(t *testing.T) {
	from, to := newMemory(), newMemory()
	fill(t, from, 40, 30, 10)
	other, both := recordstoretest.NewKey(t), recordstoretest.NewKey(t)
	put(t, to, other.Entry(t, 3, recordstoretest.Value(3), recordstore.Own))
	put(t, to, both.Entry(t, 8, recordstoretest.Value(8), recordstore.Own))
	put(t, from, both.Entry(t, 7, recordstoretest.Value(7), recordstore.Own))
	seen := recordstore.SeenMark{Name: recordstoretest.NewKey(t).Name, Mark: recordstore.Mark{Sequence: 9, EOL: recordstoretest.Epoch}, Until: recordstoretest.Epoch}
	must(t, 0, to.SetSeen(t.Context(), seen))
	seen.Mark.Sequence = 4
	must(t, 0, from.SetSeen(t.Context(), seen))
	r, err := Move{From: from, To: to, Retire: from.retire}.Run(t.Context())
	must(t, r, err)
	if r.Names != 41 || r.Kept != 2 {
		t.Errorf("report %+v", r)
	}
	for _, k := range []struct {
		key recordstoretest.Key
		seq uint64
	}{{other, 3}, {both, 8}} {
		if e, err := to.Get(t.Context(), k.key.Name); err != nil || e.Record.Sequence() != k.seq || e.Version != 1 {
			t.Errorf("%v, %v", e, err)
		}
	}
	if m, err := to.Seen(t.Context(), seen.Name); err != nil || m.Mark.Sequence != 9 {
		t.Errorf("the mark has sequence %d: %v", m.Mark.Sequence, err)
	}
}

// Going back into the first store, which is retired and has an older state, replaces what is
// there; unless that knows something which the other does not.
func TestTheWayBackReplacesWhatIsOld(t *testing.T) {
	for _, lost := range []bool{false, true} {
		first, second := newMemory(), newMemory()
		fill(t, first, 40, 30, 10)
		_, err := Move{From: first, To: second, Retire: first.retire}.Run(t.Context())
		must(t, 0, err)
		f := &filling{t: t, db: second, pick: cycle(3), at: recordstoretest.Epoch.Add(48 * time.Hour)}
		for n := range uint64(50) {
			f.name(n, 2)
		}
		row, err := second.Rows().Get(t.Context(), "table 0", "key \x00\xff 0")
		must(t, row, err)
		row.Value = []byte("changed")
		_, err = second.Rows().Swap(t.Context(), row)
		must(t, 0, err)
		k := recordstoretest.NewKey(t)
		if lost {
			put(t, first, k.Entry(t, 1, recordstoretest.Value(1), recordstore.Own))
		} else {
			put(t, first, k.Entry(t, 1, recordstoretest.Value(1), recordstore.Hosted)) // forgotten since
		}
		before, cleared := content(t, second), false
		clearFirst := func(context.Context) error {
			cleared = true
			fresh := recordstore.NewMemory()
			for m, err := range first.AllSeen(t.Context()) {
				must(t, m, err)
				must(t, 0, fresh.SetSeen(t.Context(), m))
			}
			first.Memory, first.rows = fresh, new(recordstore.MemoryRows)
			return nil
		}
		r, err := Move{From: second, To: first, Retire: second.retire, Clear: clearFirst}.Run(t.Context())
		if lost {
			if err == nil || cleared || second.retired || !strings.Contains(err.Error(), k.Name.String()) {
				t.Errorf("a name was lost: %v", err)
			}
			continue
		}
		must(t, r, err)
		sameContent(t, before, first)
	}
}

func TestMoveNeedsAWholeStore(t *testing.T) {
	from, to := newMemory(), newMemory()
	damage := func(yield func(string, error) bool) { yield("the entry of a name", nil) }
	if _, err := (Move{From: from, To: to, Retire: from.retire, Damage: damage}).Run(t.Context()); err == nil || from.retired {
		t.Errorf("a damaged store was moved: %v", err)
	}
	if _, err := (Move{From: from, To: from, Retire: from.retire}).Run(t.Context()); err == nil || from.retired {
		t.Errorf("a store was moved to itself: %v", err)
	}
	if _, err := (Move{From: from, To: to, Retired: true}).Run(t.Context()); !errors.Is(err, ErrOther) {
		t.Errorf("a store that was moved elsewhere was moved again: %v", err)
	}
}

// forgetful is a Database that loses something of what it is given.
type forgetful struct {
	recordstore.Database
	lose func(*recordstore.Whole)
}

func (f forgetful) Swap(ctx context.Context, e recordstore.Entry, l recordstore.Lease) (recordstore.Entry, error) {
	w := recordstore.Whole{Entry: e}
	f.lose(&w)
	return f.Database.Swap(ctx, w.Entry, l)
}

func (f forgetful) SetUpkeep(ctx context.Context, list ...recordstore.Upkeep) error {
	for i := range list {
		w := recordstore.Whole{Upkeep: list[i]}
		f.lose(&w)
		list[i] = w.Upkeep
	}
	return f.Database.SetUpkeep(ctx, list...)
}

// Whatever does not arrive is found, before the new store is taken into use.
func TestVerificationFindsWhatDidNotArrive(t *testing.T) {
	for what, lose := range map[string]func(*recordstore.Whole){
		"the sequence never used": func(w *recordstore.Whole) { w.Entry.Next = 0 },
		"the tenant":              func(w *recordstore.Whole) { w.Entry.Tenant = "" },
		"the lifetime":            func(w *recordstore.Whole) { w.Entry.Span = 0 },
		"when it is known":        func(w *recordstore.Whole) { w.Entry.Known = recordstore.Generation{} },
		"rivals":                  func(w *recordstore.Whole) { w.Entry.Rivals = nil },
		"upkeep":                  func(w *recordstore.Whole) { w.Upkeep.Holders++ },
	} {
		from, to := newMemory(), newMemory()
		fill(t, from, 60, 5, 5)
		if _, err := (Move{From: from, To: forgetful{to, lose}, Retire: from.retire}).Run(t.Context()); err == nil {
			t.Errorf("%s: lost without an error", what)
		}
	}
}

// lossyRows take rows, but for the marker of a move, and lose them.
type lossyRows struct{ recordstore.Rows }

func (l lossyRows) Swap(ctx context.Context, r recordstore.Row) (recordstore.Row, error) {
	if r.Table != markerTable {
		return r, nil
	}
	return l.Rows.Swap(ctx, r)
}

// That a move goes on, so that rows may have been changed in the new store since, does not
// excuse rows that are not there.
func TestVerificationOfAMoveThatGoesOnFindsRowsThatDidNotArrive(t *testing.T) {
	from, to := newMemory(), newMemory()
	fill(t, from, 3, 3, 5)
	to.rows = lossyRows{to.rows}
	interrupted := errors.New("interrupted")
	m := Move{From: from, To: to, Retire: from.retire, Step: func(step string) error {
		if step == "rows" {
			return interrupted
		}
		return nil
	}}
	if _, err := m.Run(t.Context()); !errors.Is(err, interrupted) || !from.retired {
		t.Fatal(err)
	}
	m.Step, m.Retired = nil, true
	if r, err := m.Run(t.Context()); err == nil {
		t.Errorf("rows were lost without an error: %+v", r)
	}
}
