package names_test

import (
	"errors"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

var epoch = recordstoretest.Epoch

func newBook() *names.Book {
	return &names.Book{Store: recordstore.NewMemory(), Now: func() time.Time { return epoch }}
}

func take(t *testing.T, b *names.Book, rec *ipns.Record, origin recordstore.Origin, want names.Outcome) {
	t.Helper()
	got, err := b.Take(t.Context(), rec, names.Entrance{Origin: origin})
	if err != nil || got != want {
		t.Fatalf("Take(sequence %d, %s) = %v, %v, want %v", rec.Sequence(), rec.Value(), got, err, want)
	}
}

func TestTake(t *testing.T) {
	for _, origin := range []recordstore.Origin{recordstore.Own, recordstore.Hosted} {
		b, k := newBook(), recordstoretest.NewKey(t)
		hour := epoch.Add(time.Hour)
		second := k.Record(t, 2, "/ipfs/bafkqaaa", hour)
		take(t, b, second, origin, names.New)
		take(t, b, second, origin, names.Same)
		take(t, b, k.Record(t, 1, "/ipfs/bafkqaaa/a", hour.Add(time.Hour)), origin, names.Older)
		take(t, b, k.Record(t, 2, "/ipfs/bafkqaaa", hour.Add(-time.Minute)), origin, names.Older)
		take(t, b, k.Record(t, 2, "/ipfs/bafkqaaa", hour.Add(time.Minute)), origin, names.New)
		third := k.Record(t, 3, "/ipfs/bafkqaaa/b", hour)
		take(t, b, third, origin, names.New)
		e, err := b.Get(t.Context(), k.Name)
		if err != nil || e.Record.Hash() != third.Hash() || e.Mark != recordstore.MarkOf(third) || e.Next != 4 || e.Origin != origin {
			t.Fatalf("entry %+v, %v", e, err)
		}
	}
}

func TestSeenNamesHaveMarksOnly(t *testing.T) {
	b, k := newBook(), recordstoretest.NewKey(t)
	hour := epoch.Add(time.Hour)
	rec := k.Record(t, 5, "/ipfs/bafkqaaa", hour)
	take(t, b, rec, recordstore.Seen, names.New)
	take(t, b, rec, recordstore.Seen, names.Same)
	take(t, b, k.Record(t, 4, "/ipfs/bafkqaaa", hour), recordstore.Seen, names.Older)
	if _, err := b.Get(t.Context(), k.Name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Fatalf("a seen name has an entry: %v", err)
	}
	if m, err := b.Seen(t.Context(), k.Name); err != nil || m != recordstore.MarkOf(rec) {
		t.Fatalf("mark %+v, %v", m, err)
	}
	take(t, b, k.Record(t, 4, "/ipfs/bafkqaaa", hour), recordstore.Hosted, names.Older)
	take(t, b, rec, recordstore.Hosted, names.New)
}

func TestFork(t *testing.T) {
	b, k := newBook(), recordstoretest.NewKey(t)
	one := k.Record(t, 1, "/ipfs/bafkqaaa/one", epoch.Add(time.Hour))
	two := k.Record(t, 1, "/ipfs/bafkqaaa/two", epoch.Add(2*time.Hour))
	take(t, b, one, recordstore.Own, names.New)
	take(t, b, two, recordstore.Own, names.Fork)
	take(t, b, one, recordstore.Own, names.Older)
	take(t, b, two, recordstore.Own, names.Same)
	e, err := b.Get(t.Context(), k.Name)
	if err != nil || e.Record.Hash() != two.Hash() || len(e.Rivals) != 1 || e.Rivals[0].Hash() != one.Hash() || e.Forks != 1 {
		t.Fatalf("entry %+v, %v", e, err)
	}
	take(t, b, k.Record(t, 2, "/ipfs/bafkqaaa/one", epoch.Add(time.Minute)), recordstore.Own, names.New)
	if e, err = b.Get(t.Context(), k.Name); err != nil || len(e.Rivals) != 0 || e.Forks != 1 {
		t.Fatalf("entry after a higher sequence %+v, %v", e, err)
	}
	if n := b.Count(names.Fork); n != 1 {
		t.Fatalf("%d forks counted", n)
	}
}
