package pebble_test

import (
	"errors"
	"testing"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

func TestClearLeavesMarksAlone(t *testing.T) {
	ctx, db := t.Context(), openMem(t)
	s, err := ours.New(db, ours.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	own, seen := recordstoretest.NewKey(t), recordstoretest.NewKey(t)
	e := own.Entry(t, 1, recordstoretest.Value(1), recordstore.Own)
	_, swap := s.Swap(ctx, e, recordstore.Lease{})
	_, row := s.Rows().Swap(ctx, recordstore.Row{Table: "t", Key: "k", Value: []byte("v")})
	err = errors.Join(swap, row,
		s.SetUpkeep(ctx, recordstore.Upkeep{Name: own.Name, Due: recordstoretest.Epoch}),
		s.SetSeen(ctx, recordstore.SeenMark{Name: seen.Name, Mark: e.Mark, Until: recordstoretest.Epoch}))
	if err != nil {
		t.Fatal(err)
	}
	gen, _ := s.Generation(ctx)
	if err := s.Clear(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, own.Name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Errorf("the name is there: %v", err)
	}
	for p, err := range s.History(ctx, own.Name) {
		t.Errorf("its history is there: %v, %v", p, err)
	}
	if u, err := s.Upkeep(ctx, own.Name); err != nil || !u.Due.IsZero() {
		t.Errorf("its upkeep is there: %v, %v", u, err)
	}
	for r, err := range s.Rows().All(ctx) {
		t.Errorf("a row is there: %v, %v", r, err)
	}
	if m, err := s.Seen(ctx, seen.Name); err != nil || m.Mark != e.Mark {
		t.Errorf("the mark is gone: %v", err)
	}
	if now, _ := s.Generation(ctx); now == gen {
		t.Error("no new generation")
	}
	if _, err := s.Swap(ctx, e, recordstore.Lease{}); err != nil {
		t.Error(err)
	}
}
