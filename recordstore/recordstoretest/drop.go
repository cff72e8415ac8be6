package recordstoretest

import (
	"errors"
	"testing"
	"time"

	"github.com/goipns/ipns/recordstore"
)

// What is dropped is gone but for its mark, and may come again.
func testDrop(t *testing.T, s recordstore.Store) {
	ctx, k, until := t.Context(), NewKey(t), Epoch.Add(72*time.Hour)
	first := mustSwap(t, s, k.Entry(t, 6, Value(1), recordstore.Hosted))
	e := k.Entry(t, 7, Value(2), recordstore.Hosted)
	e.Version = first.Version
	e = mustSwap(t, s, e)
	if err := s.SetUpkeep(ctx, recordstore.Upkeep{Name: k.Name, Due: Epoch, Holders: 20}); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(ctx, first, until); !errors.Is(err, recordstore.ErrConflict) {
		t.Fatalf("Drop of an entry that has changed: %v", err)
	}
	if got, err := s.Get(ctx, k.Name); err != nil || Equal(got, e) != "" {
		t.Fatalf("a conflict changed the entry: %v", err)
	}
	if err := s.Drop(ctx, e, until); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, k.Name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Errorf("Get of a dropped name: %v", err)
	}
	for past, err := range s.History(ctx, k.Name) {
		t.Errorf("a dropped name has a history: %v %v", past, err)
	}
	for w, err := range s.Due(ctx, recordstore.Region{}, until) {
		t.Errorf("a dropped name is due: %v %v", w.Entry.Name, err)
	}
	if u, err := s.Upkeep(ctx, k.Name); err != nil || u.Holders != 0 || !u.Due.IsZero() {
		t.Errorf("a dropped name has upkeep: %+v %v", u, err)
	}
	if seen, err := s.Seen(ctx, k.Name); err != nil || seen.Mark != e.Mark || !seen.Until.Equal(until) {
		t.Errorf("a dropped name has the mark %+v, %v", seen, err)
	}
	for range 2 {
		if err := s.Drop(ctx, e, until); !errors.Is(err, recordstore.ErrConflict) {
			t.Errorf("Drop of what is not there: %v", err)
		}
		e = recordstore.Entry{Name: k.Name}
	}
	mustSwap(t, s, k.Entry(t, 8, Value(3), recordstore.Hosted))
	own := mustSwap(t, s, NewKey(t).Entry(t, 1, Value(1), recordstore.Own))
	if err := s.Drop(ctx, own, until); err == nil {
		t.Error("an own name was dropped")
	}
	if got, err := s.Get(ctx, own.Name); err != nil || Equal(got, own) != "" {
		t.Errorf("an own name is gone: %v", err)
	}
}
