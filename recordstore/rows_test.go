package recordstore_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/goipns/ipns/recordstore"
)

func TestChangesOfARowFollowEachOther(t *testing.T) {
	rows := new(recordstore.MemoryRows)
	change := func(f func([]byte) ([]byte, error)) error {
		return recordstore.ChangeRow(t.Context(), rows, "t", "k", f)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				err := change(func(b []byte) ([]byte, error) {
					n, _ := strconv.Atoi(string(b)) // nil: 0
					return strconv.AppendInt(nil, int64(n)+1, 10), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if r, err := rows.Get(t.Context(), "t", "k"); err != nil || string(r.Value) != "200" {
		t.Fatalf("%q, %v", r.Value, err)
	}
	mine := errors.New("no")
	if err := change(func([]byte) ([]byte, error) { return nil, mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
	if r, err := rows.Get(t.Context(), "t", "k"); err != nil || string(r.Value) != "200" {
		t.Fatalf("an error has changed the row to %q, %v", r.Value, err)
	}
	for range 2 { // also if there is none
		if err := change(func([]byte) ([]byte, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rows.Get(t.Context(), "t", "k"); !errors.Is(err, recordstore.ErrNotFound) {
		t.Error(err)
	}
}

// quicker are rows that somebody else always changes first.
type quicker struct{ recordstore.MemoryRows }

func (q *quicker) Swap(ctx context.Context, r recordstore.Row) (recordstore.Row, error) {
	return recordstore.Row{}, recordstore.ErrConflict
}

func TestAChangeOfARowGivesUp(t *testing.T) {
	tries := 0
	err := recordstore.ChangeRow(t.Context(), new(quicker), "t", "k", func([]byte) ([]byte, error) { tries++; return []byte("x"), nil })
	if !errors.Is(err, recordstore.ErrConflict) || tries != recordstore.RowTries {
		t.Errorf("%v after %d tries", err, tries)
	}
}
