package recordstoretest

import (
	"errors"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
)

// A forgotten name is gone and may be created again. Its mark stays in the Marks.
func testForget(t *testing.T, s Store) {
	ctx, k, until := t.Context(), NewKey(t), Epoch.Add(72*time.Hour)
	first := mustSwap(t, s, k.Entry(t, 6, Value(1), recordstore.Hosted))
	e := k.Entry(t, 7, Value(2), recordstore.Hosted)
	e.Version = first.Version
	e = mustSwap(t, s, e)
	mark := recordstore.SeenMark{Name: k.Name, Mark: e.Mark, Until: until}
	if err := errors.Join(s.SetUpkeep(ctx, recordstore.Upkeep{Name: k.Name, Due: Epoch, Holders: 20}), s.SetSeen(ctx, mark)); err != nil {
		t.Fatal(err)
	}
	forget := recordstore.Entry{Name: k.Name, Origin: recordstore.Seen, Version: first.Version}
	if _, err := s.Swap(ctx, forget, none); !errors.Is(err, recordstore.ErrConflict) {
		t.Fatalf("forgetting an entry that has changed: %v", err)
	}
	if got, err := s.Get(ctx, k.Name); err != nil || Equal(got, e) != "" {
		t.Fatalf("a conflict changed the entry: %v", err)
	}
	forget.Version = e.Version
	if gone, err := s.Swap(ctx, forget, none); err != nil || gone.Version != 0 || gone.Mark != e.Mark {
		t.Fatalf("%+v, %v", gone, err)
	}
	if _, err := s.Get(ctx, k.Name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Errorf("Get of a forgotten name: %v", err)
	}
	for past, err := range s.History(ctx, k.Name) {
		t.Errorf("a forgotten name has a history: %v %v", past, err)
	}
	for w, err := range s.Due(ctx, recordstore.Region{}, until) {
		t.Errorf("a forgotten name is due: %v %v", w.Entry.Name, err)
	}
	if u, err := s.Upkeep(ctx, k.Name); err != nil || u.Holders != 0 || !u.Due.IsZero() {
		t.Errorf("a forgotten name has upkeep: %+v %v", u, err)
	}
	if seen, err := s.Seen(ctx, k.Name); err != nil || seen.Mark != e.Mark || !seen.Until.Equal(until) {
		t.Errorf("a forgotten name has the mark %+v, %v", seen, err)
	}
	for range 2 {
		if _, err := s.Swap(ctx, forget, none); !errors.Is(err, recordstore.ErrConflict) {
			t.Errorf("forgetting a name that is not stored: %v", err)
		}
		forget.Version = 0
	}
	mustSwap(t, s, k.Entry(t, 8, Value(3), recordstore.Hosted))
	own := mustSwap(t, s, NewKey(t).Entry(t, 1, Value(1), recordstore.Own))
	if _, err := s.Swap(ctx, recordstore.Entry{Name: own.Name, Origin: recordstore.Seen, Version: own.Version}, none); err == nil {
		t.Error("an own name was forgotten")
	}
	if got, err := s.Get(ctx, own.Name); err != nil || Equal(got, own) != "" {
		t.Errorf("an own name is gone: %v", err)
	}
}

// A lease that this store did not give is refused.
func testLease(t *testing.T, s Store) {
	k := NewKey(t)
	lease := recordstore.Lease{Region: keyspace.RegionOf(k.Name.Kad(), 6), Holder: "nobody", Epoch: 1}
	if _, err := s.Swap(t.Context(), k.Entry(t, 1, Value(1), recordstore.Own), lease); !errors.Is(err, recordstore.ErrLease) {
		t.Fatalf("a swap with a made-up lease: %v", err)
	}
	if _, err := s.Get(t.Context(), k.Name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Fatalf("it was stored: %v", err)
	}
}
