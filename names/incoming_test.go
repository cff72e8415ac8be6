package names_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// A record that strangers put here enters the Book if its name is kept, and leaves no
// mark if it is not.
func TestHearTakesRecordsOfKeptNamesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &names.Book{Store: recordstore.NewMemory()}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go b.Run(ctx)
		ours, stranger := recordstoretest.NewKey(t), recordstoretest.NewKey(t)
		end := time.Now().Add(time.Hour)
		if _, err := b.Take(ctx, ours.Record(t, 1, "/ipfs/bafkqaaa", end), names.Entrance{Origin: recordstore.Hosted}); err != nil {
			t.Fatal(err)
		}
		b.Hear(ours.Record(t, 7, "/ipfs/bafkqaaa", end))
		b.Hear(stranger.Record(t, 7, "/ipfs/bafkqaaa", end))
		synctest.Wait()
		if e, err := b.Get(ctx, ours.Name); err != nil || e.Record.Sequence() != 7 {
			t.Errorf("the kept name has %v, %v", e.Record, err)
		}
		if _, err := b.Get(ctx, stranger.Name); !errors.Is(err, recordstore.ErrNotFound) {
			t.Errorf("the other name: %v, want ErrNotFound", err)
		}
		if m, err := b.Seen(ctx, stranger.Name); err != nil || !m.IsZero() {
			t.Errorf("the other name has the mark %v, %v", m, err)
		}
	})
}

// A flood neither blocks the caller nor fills memory.
func TestHearDropsWhatAFloodBrings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := &names.Book{Store: recordstore.NewMemory()}, recordstoretest.NewKey(t)
		end := time.Now().Add(time.Hour)
		if _, err := b.Take(t.Context(), k.Record(t, 0, "/ipfs/bafkqaaa", end), names.Entrance{Origin: recordstore.Own}); err != nil {
			t.Fatal(err)
		}
		const flood = 200
		for seq := range uint64(flood) { // nobody runs the Book yet
			b.Hear(k.Record(t, seq+1, "/ipfs/bafkqaaa", end))
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go b.Run(ctx)
		synctest.Wait()
		if e, err := b.Get(ctx, k.Name); err != nil || e.Record.Sequence() == 0 || e.Record.Sequence() == flood {
			t.Errorf("after the flood: sequence %d, %v", e.Record.Sequence(), err)
		}
	})
}
