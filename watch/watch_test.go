package watch_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/watch"
)

var epoch = recordstoretest.Epoch

func newBook() *names.Book {
	return &names.Book{Store: recordstore.NewMemory(), Now: func() time.Time { return epoch }}
}

func enter(t *testing.T, b *names.Book, rec *ipns.Record) {
	t.Helper()
	if _, err := b.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Own}); err != nil {
		t.Fatal(err)
	}
}

// reader is one that takes events when the test says so.
type reader struct {
	t    *testing.T
	next func() (watch.Event, error, bool)
	stop func()
}

func read(t *testing.T, n *watch.Names, since recordstore.Position, of ...ipns.Name) reader {
	next, stop := iter.Pull2(n.Read(t.Context(), watch.Request{Since: since, Names: of}))
	t.Cleanup(stop)
	return reader{t, next, stop}
}

func (r reader) event() watch.Event {
	r.t.Helper()
	e, err, ok := r.next()
	if err != nil || !ok {
		r.t.Fatalf("no event: %v", err)
	}
	return e
}

// sequence is the next event, which must be about a name.
func (r reader) sequence(of ipns.Name) uint64 {
	r.t.Helper()
	e := r.event()
	if e.Entry.Name != of {
		r.t.Fatalf("an event of %s, want %s", e.Entry.Name, of)
	}
	return e.Entry.Record.Sequence()
}

func TestAReaderGetsWhatChangesAndResumesWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		n := &watch.Names{Book: b}
		k, other := recordstoretest.NewKey(t), recordstoretest.NewKey(t)
		hour := epoch.Add(time.Hour)
		enter(t, b, k.Record(t, 1, "/ipfs/bafkqaaa", hour))

		first := read(t, n, "", k.Name)
		begin := first.event()
		if !begin.Entry.Name.IsZero() || begin.Position == "" {
			t.Fatalf("the first event is %+v", begin)
		}
		enter(t, b, other.Record(t, 9, "/ipfs/bafkqaaa", hour))
		enter(t, b, k.Record(t, 2, "/ipfs/bafkqaaa/a", hour))
		if got := first.sequence(k.Name); got != 2 {
			t.Errorf("sequence %d, want 2", got)
		}
		first.stop()
		for sequence := uint64(3); sequence < 6; sequence++ {
			enter(t, b, k.Record(t, sequence, "/ipfs/bafkqaaa/a", hour))
		}

		again := read(t, n, begin.Position, k.Name)
		if e := again.event(); !e.Entry.Name.IsZero() || e.Position != begin.Position {
			t.Fatalf("the first event is %+v", e)
		}
		for got := uint64(0); got != 5; { // what was in between may be left out
			next := again.sequence(k.Name)
			if next < got {
				t.Fatalf("sequence %d after %d", next, got)
			}
			got = next
		}
	})
}

func TestAReaderGetsAHeartbeatWhileNothingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := read(t, &watch.Names{Book: newBook()}, "")
		begin, start := r.event(), time.Now()
		e := r.event()
		if !e.Entry.Name.IsZero() || e.Position != begin.Position || time.Since(start) != watch.Heartbeat {
			t.Errorf("%+v after %s", e, time.Since(start))
		}
		r.stop()
	})
}

func TestAPositionOfAnotherStoreIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := read(t, &watch.Names{Book: newBook()}, recordstore.PositionOf(recordstore.Generation{1}, recordstore.Place{Number: 7}))
		r.event()
		if e := r.event(); !e.Gap || !e.Entry.Name.IsZero() {
			t.Errorf("%+v is no gap", e)
		}
		if e := r.event(); e.Gap {
			t.Errorf("%+v is the gap again", e)
		}
		r.stop()
	})
}

func TestReadersAreBoundedAndLeaveTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &watch.Names{Book: newBook()}
		var all []reader
		for range watch.MaxOperator {
			r := read(t, n, "")
			r.event()
			all = append(all, r)
		}
		one := read(t, n, "")
		if _, err, _ := one.next(); !errors.Is(err, watch.ErrFull) {
			t.Fatalf("one reader too many: %v", err)
		}
		one.stop()
		all[0].stop()
		read(t, n, "").event()
	})
}

// What a slow reader of all names can't hold, it reads from the store later.
func TestASlowReaderGetsWhatItCannotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r := read(t, &watch.Names{Book: b}, "")
		r.event()
		want := make(map[ipns.Name]uint64)
		for i := range uint64(2*watch.MaxPending + 100) {
			k := recordstoretest.KeyFromSeed(t, i%(watch.MaxPending+50))
			enter(t, b, k.Record(t, i, "/ipfs/bafkqaaa", epoch.Add(time.Hour)))
			want[k.Name] = i
		}
		synctest.Wait()
		for len(want) > 0 {
			if e := r.event(); e.Kind == 0 {
				t.Fatalf("%d names are missing", len(want))
			} else if e.Entry.Record.Sequence() == want[e.Entry.Name] {
				delete(want, e.Entry.Name)
			}
		}
		r.stop()
	})
}

func TestReadersLeaveWhenTheNodeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping := make(chan struct{})
		r := read(t, &watch.Names{Book: newBook(), Stopping: stopping}, "")
		r.event()
		close(stopping)
		if e, err, ok := r.next(); ok {
			t.Errorf("%+v, %v after the node has stopped", e, err)
		}
	})
}

func TestAReaderThatIsCancelledIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := &watch.Names{Book: newBook()}
		var last error
		for _, err := range n.Read(ctx, watch.Request{}) {
			last = err
		}
		if !errors.Is(last, context.DeadlineExceeded) {
			t.Errorf("it ends with %v", last)
		}
	})
}
