package names_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

func TestCreate(t *testing.T) {
	b, k := newBook(), recordstoretest.NewKey(t)
	if err := b.Create(t.Context(), k.Name); err != nil {
		t.Fatal(err)
	}
	e, err := b.Get(t.Context(), k.Name)
	if err != nil || e.Record != nil || e.Next != 0 || e.Origin != recordstore.Own {
		t.Fatalf("entry %+v, %v", e, err)
	}
	if known, err := b.Known(t.Context(), e); err != nil || !known {
		t.Fatalf("the sequence of a new key is unknown: %v", err)
	}
	if err := b.Create(t.Context(), k.Name); !errors.Is(err, names.ErrExists) {
		t.Fatalf("created twice: %v", err)
	}
	seen := recordstoretest.NewKey(t)
	take(t, b, seen.Record(t, 7, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Seen, names.New)
	if err := b.Create(t.Context(), seen.Name); err != nil {
		t.Fatal(err)
	}
	if e, err := b.Get(t.Context(), seen.Name); err != nil || e.Next != 8 || e.Mark.Sequence != 7 {
		t.Fatalf("the mark of the seen name was lost: %+v, %v", e, err)
	}
}

func TestReserve(t *testing.T) {
	b, k := newBook(), recordstoretest.NewKey(t)
	if err := b.Create(t.Context(), k.Name); err != nil {
		t.Fatal(err)
	}
	before, _ := b.Get(t.Context(), k.Name)
	after, err := b.Reserve(t.Context(), before, 4)
	if err != nil || after.Next != 5 || !after.Mark.IsZero() {
		t.Fatalf("reserved: %+v, %v", after, err)
	}
	if _, err := b.Reserve(t.Context(), before, 5); !errors.Is(err, recordstore.ErrConflict) {
		t.Fatalf("reserved from an old entry: %v", err)
	}
	if _, err := b.Reserve(t.Context(), after, 4); !errors.Is(err, names.ErrReserved) {
		t.Fatalf("reserved twice: %v", err)
	}
}

// TestReservedIsNoMark: reserving a sequence does not raise the mark, so resolving works
// as before until the signer has answered.
func TestReservedIsNoMark(t *testing.T) {
	b, k := newBook(), recordstoretest.NewKey(t)
	rec := k.Record(t, 3, "/ipfs/bafkqaaa", epoch.Add(time.Hour))
	take(t, b, rec, recordstore.Own, names.New)
	e, _ := b.Get(t.Context(), k.Name)
	if _, err := b.Reserve(t.Context(), e, 4); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Seen(t.Context(), k.Name); err != nil || m != recordstore.MarkOf(rec) {
		t.Fatalf("mark %+v, %v", m, err)
	}
}

func TestEnter(t *testing.T) {
	b, k := newBook(), recordstoretest.NewKey(t)
	if err := b.Create(t.Context(), k.Name); err != nil {
		t.Fatal(err)
	}
	e, _ := b.Get(t.Context(), k.Name)
	first := k.Record(t, 0, "/ipfs/bafkqaaa/1", epoch.Add(time.Hour))
	if outcome, err := b.Enter(t.Context(), e, first, names.Entrance{}); err != nil || outcome != names.New {
		t.Fatalf("%v, %v", outcome, err)
	}
	for what, rec := range map[string]*ipns.Record{
		"another value of the same sequence": k.Record(t, 0, "/ipfs/bafkqaaa/2", epoch.Add(2*time.Hour)),
		"the same record":                    first,
		"the next":                           k.Record(t, 1, "/ipfs/bafkqaaa/2", epoch.Add(time.Hour)),
	} {
		if _, err := b.Enter(t.Context(), e, rec, names.Entrance{}); !errors.Is(err, recordstore.ErrConflict) {
			t.Errorf("%s, made from an old entry: %v", what, err)
		}
	}
}

// TestManyRivals: of more rivals than fit, the lowest are dropped.
func TestManyRivals(t *testing.T) {
	b, k := newBook(), recordstoretest.NewKey(t)
	const rivals = recordstore.MaxRivals + 3
	for i := range rivals {
		want := names.Fork
		if i == 0 {
			want = names.New
		}
		take(t, b, k.Record(t, 1, recordstoretest.Value(i), epoch.Add(time.Duration(i+1)*time.Hour)), recordstore.Own, want)
	}
	e, err := b.Get(t.Context(), k.Name)
	if err != nil || e.Record.Value() != recordstoretest.Value(rivals-1) || len(e.Rivals) != recordstore.MaxRivals || e.Forks != rivals-1 {
		t.Fatalf("record %s, %d rivals, %d forks, %v", e.Record.Value(), len(e.Rivals), e.Forks, err)
	}
	for _, r := range e.Rivals {
		if r.Value() == recordstoretest.Value(0) {
			t.Error("the lowest rival was kept")
		}
	}
	kept := 0
	for range b.History(t.Context(), k.Name) {
		kept++
	}
	if kept != rivals {
		t.Errorf("%d of %d rivals in the history", kept, rivals)
	}
}

// TestMonotonic takes records in random order from many goroutines. The Book ends with
// the greatest, and its mark never goes back.
func TestMonotonic(t *testing.T) {
	const readers, writers, records = 2, 8, 60
	for _, origin := range []recordstore.Origin{recordstore.Own, recordstore.Hosted, recordstore.Seen} {
		b, k := newBook(), recordstoretest.NewKey(t)
		var list []*ipns.Record
		for i := range records {
			list = append(list, k.Record(t, uint64(i/3), recordstoretest.Value(i/3), epoch.Add(time.Duration(1+i%3)*time.Hour)))
		}
		var writing atomic.Int32
		writing.Store(writers)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				defer writing.Add(-1)
				for _, i := range rand.New(rand.NewPCG(1, uint64(w))).Perm(records) {
					if _, err := b.Take(t.Context(), list[i], names.Entrance{Origin: origin}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range readers {
			wg.Go(func() {
				var last recordstore.Mark
				for writing.Load() > 0 {
					m, err := b.Seen(t.Context(), k.Name)
					if err != nil || m.Compare(last) < 0 {
						t.Errorf("the mark went from %+v to %+v, %v", last, m, err)
						return
					}
					last = m
				}
			})
		}
		wg.Wait()
		if m, err := b.Seen(t.Context(), k.Name); err != nil || m != recordstore.MarkOf(list[records-1]) {
			t.Errorf("%v: the mark is %+v, %v", origin, m, err)
		}
	}
}

// TestMisbehavingStore takes records into a store in which every third operation fails,
// half of these after taking effect.
func TestMisbehavingStore(t *testing.T) {
	store, k := recordstore.NewMemory(), recordstoretest.NewKey(t)
	var n atomic.Uint64
	fault := errors.New("fault")
	store.Misbehave = func(recordstore.Op, ipns.Name) (bool, error) {
		switch n.Add(1) % 6 {
		case 2:
			return true, fault
		case 5:
			return false, fault
		}
		return true, nil
	}
	b := &names.Book{Store: store, Now: func() time.Time { return epoch }}
	var acked uint64
	failed := 0
	for seq := uint64(1); seq <= 200; seq++ {
		_, err := b.Take(t.Context(), k.Record(t, seq, recordstoretest.Value(int(seq)), epoch.Add(time.Hour)), names.Entrance{Origin: recordstore.Own})
		if err == nil {
			acked = seq
		} else if failed++; !errors.Is(err, fault) {
			t.Fatal(err)
		}
	}
	store.Misbehave = nil
	e, err := b.Get(t.Context(), k.Name)
	if err != nil || e.Record.Sequence() < acked || failed == 0 {
		t.Fatalf("acknowledged %d, stored %d, %d failed, %v", acked, e.Record.Sequence(), failed, err)
	}
}

// TestWatchYieldsTheNewestOfEachName resumes from every position, for all names and for
// one. Seen names are not yielded.
func TestWatchYieldsTheNewestOfEachName(t *testing.T) {
	b, k, other := newBook(), recordstoretest.NewKey(t), recordstoretest.NewKey(t)
	record := func(k recordstoretest.Key, seq uint64) *ipns.Record {
		return k.Record(t, seq, "/ipfs/bafkqaaa", epoch.Add(time.Hour))
	}
	take(t, b, record(k, 1), recordstore.Own, names.New)
	var begin recordstore.Position
	for c, err := range b.Watch(t.Context(), "", k.Name) {
		if err != nil || c.Position == "" || c.Entry.Record != nil {
			t.Fatalf("%+v, %v", c, err)
		}
		begin = c.Position
		break
	}
	take(t, b, record(recordstoretest.NewKey(t), 1), recordstore.Seen, names.New)
	take(t, b, record(other, 1), recordstore.Hosted, names.New)
	take(t, b, record(k, 2), recordstore.Own, names.New)
	take(t, b, record(k, 2), recordstore.Own, names.Same)
	take(t, b, record(k, 3), recordstore.Own, names.New)
	type told struct {
		name ipns.Name
		seq  uint64
	}
	for what, tt := range map[string]struct {
		only []ipns.Name
		want []told
	}{
		"one": {[]ipns.Name{k.Name}, []told{{k.Name, 3}}},
		"all": {nil, []told{{other.Name, 1}, {k.Name, 3}}},
	} {
		i := 0
		for c, err := range b.Watch(t.Context(), begin, tt.only...) {
			if err != nil || (told{c.Entry.Name, c.Entry.Record.Sequence()}) != tt.want[i] {
				t.Fatalf("%s: change %d: %v, %v", what, i, c.Entry.Record, err)
			}
			if i++; i == len(tt.want) {
				break
			}
		}
	}
}

// TestToldAfterDurable: when a subscriber is called, the store already has the change.
func TestToldAfterDurable(t *testing.T) {
	store, k := recordstore.NewMemory(), recordstoretest.NewKey(t)
	b := &names.Book{Store: store, Now: func() time.Time { return epoch }}
	told := 0
	stop := b.Subscribe(func(c names.Change) {
		told++
		if e, err := store.Get(t.Context(), k.Name); err != nil || e.Version != c.Entry.Version {
			t.Errorf("told of version %d, stored is %d, %v", c.Entry.Version, e.Version, err)
		}
	})
	take(t, b, k.Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Own, names.New)
	stop()
	take(t, b, k.Record(t, 2, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Own, names.New)
	if told != 1 {
		t.Fatalf("told %d times", told)
	}
}

// TestToldInOrder has many concurrent writers of one name. What the subscriber gets never
// goes back, and the last is what is stored.
func TestToldInOrder(t *testing.T) {
	for _, origin := range []recordstore.Origin{recordstore.Own, recordstore.Seen} {
		b, k := newBook(), recordstoretest.NewKey(t)
		var last recordstore.Mark
		back := 0
		defer b.Subscribe(func(c names.Change) {
			if c.Entry.Mark.Compare(last) < 0 {
				back++
			}
			last = c.Entry.Mark
		})()
		var wg sync.WaitGroup
		var next atomic.Uint64
		for range 8 {
			wg.Go(func() {
				for range 200 {
					seq := next.Add(1)
					rec := k.Record(t, seq, "/ipfs/bafkqaaa", epoch.Add(time.Hour))
					if _, err := b.Take(t.Context(), rec, names.Entrance{Origin: origin}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if m, err := b.Seen(t.Context(), k.Name); err != nil || back > 0 || last != m {
			t.Errorf("%v: told %d times of something older, last of %d, stored is %d, %v", origin, back, last.Sequence, m.Sequence, err)
		}
	}
}

// TestSeenMarksAreBatched looks up a thousand names a second for ten seconds. There is at
// most one sync a second and one at the end, and no mark is missing afterwards.
func TestSeenMarksAreBatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var syncs, swaps atomic.Int64
		store := recordstore.NewMemory()
		store.Misbehave = func(op recordstore.Op, _ ipns.Name) (bool, error) {
			switch op {
			case recordstore.OpSync:
				syncs.Add(1)
			case recordstore.OpSwap:
				swaps.Add(1)
			}
			return true, nil
		}
		b := &names.Book{Store: store, Now: func() time.Time { return epoch }}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		k := recordstoretest.KeyFromSeed(t, 1)
		const seconds, perSecond = 10, 100
		for i := range seconds * perSecond {
			take(t, b, k.Record(t, uint64(i), "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Seen, names.New)
			time.Sleep(time.Second / perSecond)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := syncs.Load(); n < 2 || n > seconds+1 || swaps.Load() > 0 {
			t.Errorf("%d syncs in %d seconds, %d swaps", n, seconds, swaps.Load())
		}
		s, err := store.Seen(t.Context(), k.Name)
		if err != nil || s.Mark.Sequence != seconds*perSecond-1 || !s.Until.Equal(s.Mark.EOL.Add(names.SeenGrace)) {
			t.Errorf("stored mark %+v, %v", s, err)
		}
	})
}

// TestSeenMarksAreBounded: pruning keeps as many marks as the limit allows.
func TestSeenMarksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		b.SeenLimit = 10
		for i := range 30 {
			k := recordstoretest.KeyFromSeed(t, uint64(i))
			take(t, b, k.Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(time.Duration(i)*time.Hour)), recordstore.Seen, names.New)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		time.Sleep(5 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		kept := 0
		for i := range 30 {
			_, err := b.Store.(recordstore.Marks).Seen(t.Context(), recordstoretest.KeyFromSeed(t, uint64(i)).Name)
			if err == nil {
				kept++
			}
			if (err == nil) != (i >= 20) {
				t.Errorf("mark %d: %v", i, err)
			}
		}
		if kept != 10 {
			t.Errorf("%d marks kept, the limit is 10", kept)
		}
	})
}

func TestTurn(t *testing.T) {
	b, k := newBook(), recordstoretest.NewKey(t)
	var inside, most atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			done, err := b.Turn(t.Context(), k.Name)
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			inside.Add(-1)
			done()
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d had the turn at once", most.Load())
	}
	done, _ := b.Turn(t.Context(), k.Name)
	defer done()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := b.Turn(ctx, k.Name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a turn: %v", err)
	}
}
