package names_test

import (
	"context"
	"errors"
	"iter"
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

// changeLog records what a subscriber of a running Book is told.
type changeLog struct {
	mu   sync.Mutex
	last map[ipns.Name]names.Change
	all  int
	back int // times that an older change came after a newer one
}

func (l *changeLog) tell(c names.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = make(map[ipns.Name]names.Change)
	}
	if c.Entry.Mark.Compare(l.last[c.Entry.Name].Entry.Mark) < 0 {
		l.back++
	}
	l.last[c.Entry.Name] = c
	l.all++
}

func (l *changeLog) of(name ipns.Name) (seq uint64, told int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.last[name]; c.Entry.Record != nil {
		seq = c.Entry.Record.Sequence()
	}
	return seq, l.all
}

// run runs a Book until the test ends, and returns the log of a subscriber.
func run(t *testing.T, b *names.Book) *changeLog {
	l := &changeLog{}
	t.Cleanup(b.Subscribe(l.tell))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestSubscribersAreToldOfOtherProcesses: two Books share a store.
func TestSubscribersAreToldOfOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, k := recordstore.NewMemory(), recordstoretest.KeyFromSeed(t, 1)
		one, other := &names.Book{Store: store}, &names.Book{Store: store}
		l := run(t, one)
		synctest.Wait()
		for seq := range uint64(5) {
			take(t, other, k.Record(t, seq, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Hosted, names.New)
			synctest.Wait()
			if got, told := l.of(k.Name); got != seq || told != int(seq)+1 {
				t.Fatalf("told of sequence %d after %d", got, told)
			}
		}
		e, _ := other.Get(t.Context(), k.Name)
		if err := other.Forget(t.Context(), e, recordstore.Lease{}); err != nil {
			t.Fatal(err)
		}
		take(t, other, k.Record(t, 9, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Hosted, names.New)
		synctest.Wait()
		if got, _ := l.of(k.Name); got != 9 {
			t.Fatalf("told of sequence %d after the name was forgotten and came again", got)
		}
	})
}

// TestOwnSwapsAreToldOnce: the pump does not repeat what subscribers were told already.
func TestOwnSwapsAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := newBook(), recordstoretest.KeyFromSeed(t, 1)
		l := run(t, b)
		synctest.Wait()
		for seq := range uint64(5) {
			take(t, b, k.Record(t, seq, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Own, names.New)
			synctest.Wait()
			e, err := b.Get(t.Context(), k.Name)
			if err == nil {
				_, err = b.Confirm(t.Context(), e, recordstore.Lease{}) // is not a change
			}
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if _, told := l.of(k.Name); told != 5 {
			t.Fatalf("told %d times of 5 records", told)
		}
	})
}

// TestSubscribersAreToldOfWhatLandsLate: the store takes a record but reports an error.
func TestSubscribersAreToldOfWhatLandsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, k := recordstore.NewMemory(), recordstoretest.KeyFromSeed(t, 1)
		var doubt atomic.Bool
		store.Misbehave = func(op recordstore.Op, _ ipns.Name) (bool, error) {
			if op == recordstore.OpSwap && doubt.Load() {
				return true, recordstore.ErrDoubt
			}
			return true, nil
		}
		b := &names.Book{Store: store}
		l := run(t, b)
		synctest.Wait()
		take(t, b, k.Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Own, names.New)
		doubt.Store(true)
		late := k.Record(t, 2, "/ipfs/bafkqaaa", epoch.Add(time.Hour))
		if _, err := b.Take(t.Context(), late, names.Entrance{Origin: recordstore.Own}); !errors.Is(err, recordstore.ErrDoubt) {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, _ := l.of(k.Name); got != 2 {
			t.Fatalf("told of sequence %d", got)
		}
	})
}

// TestSubscribersAreToldAllAfterAGap: the store begins a new generation, and its reads
// fail for a while.
func TestSubscribersAreToldAllAfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, k := recordstore.NewMemory(), recordstoretest.KeyFromSeed(t, 1)
		var broken atomic.Bool
		store.Misbehave = func(op recordstore.Op, _ ipns.Name) (bool, error) {
			if broken.Load() && (op == recordstore.OpGet || op == recordstore.OpScan) {
				return false, errors.New("broken")
			}
			return true, nil
		}
		one, other := &names.Book{Store: store}, &names.Book{Store: store}
		l := run(t, one)
		synctest.Wait()
		take(t, other, k.Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Hosted, names.New)
		broken.Store(true)
		store.Renew()
		time.Sleep(3 * time.Second)
		if got, told := l.of(k.Name); told > 1 {
			t.Fatalf("told %d times, of sequence %d", told, got)
		}
		broken.Store(false)
		time.Sleep(2 * time.Second)
		if got, _ := l.of(k.Name); got != 1 {
			t.Fatalf("told of sequence %d", got)
		}
	})
}

// pausing holds up one change after it was read.
type pausing struct {
	*recordstore.Memory
	pause   atomic.Bool
	reached chan struct{}
	goOn    chan struct{}
}

func (p *pausing) Changes(ctx context.Context, since recordstore.Position) iter.Seq2[recordstore.Change, error] {
	return func(yield func(recordstore.Change, error) bool) {
		for c, err := range p.Memory.Changes(ctx, since) {
			if p.pause.CompareAndSwap(true, false) {
				p.reached <- struct{}{}
				<-p.goOn
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// TestThePumpTellsNothingOlderThanWasTold: the Book publishes after its pump has read an
// entry and before it passes it on.
func TestThePumpTellsNothingOlderThanWasTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, k := recordstore.NewMemory(), recordstoretest.KeyFromSeed(t, 1)
		store := &pausing{Memory: memory, reached: make(chan struct{}), goOn: make(chan struct{})}
		b, other := &names.Book{Store: store}, &names.Book{Store: memory}
		l := run(t, b)
		synctest.Wait()
		store.pause.Store(true)
		take(t, other, k.Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Own, names.New)
		<-store.reached
		take(t, b, k.Record(t, 2, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Own, names.New)
		store.goOn <- struct{}{}
		synctest.Wait()
		if seq, told := l.of(k.Name); seq != 2 || l.back > 0 {
			t.Fatalf("told %d times, of sequence %d at last", told, seq)
		}
	})
}

// TestToldInOrderByManyBooks: several Books write one name. What their subscribers get
// never goes back, and the last is what is stored.
func TestToldInOrderByManyBooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, k := recordstore.NewMemory(), recordstoretest.KeyFromSeed(t, 1)
		const books, records = 3, 150
		var lists []*changeLog
		var wg sync.WaitGroup
		var next atomic.Uint64
		for range books {
			b := &names.Book{Store: store}
			lists = append(lists, run(t, b))
			for range 3 {
				wg.Go(func() {
					for range records {
						rec := k.Record(t, next.Add(1), "/ipfs/bafkqaaa", epoch.Add(time.Hour))
						if _, err := b.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Own}); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		wg.Wait()
		synctest.Wait()
		e, err := store.Get(t.Context(), k.Name)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range lists {
			if seq, told := l.of(k.Name); seq != e.Record.Sequence() || l.back > 0 {
				t.Errorf("book %d: told %d times, %d times of something older, at last of %d of %d", i, told, l.back, seq, e.Record.Sequence())
			}
		}
	})
}

// TestForgottenNamesKeepTheirMark, even when a lower mark was about to be written.
func TestForgottenNamesKeepTheirMark(t *testing.T) {
	b, k := newBook(), recordstoretest.NewKey(t)
	record := func(seq uint64) *ipns.Record { return k.Record(t, seq, "/ipfs/bafkqaaa", epoch.Add(time.Hour)) }
	take(t, b, record(1), recordstore.Seen, names.New)
	take(t, b, record(2), recordstore.Hosted, names.New)
	e, _ := b.Get(t.Context(), k.Name)
	take(t, b, record(3), recordstore.Hosted, names.New)
	if err := b.Forget(t.Context(), e, recordstore.Lease{}); !errors.Is(err, recordstore.ErrConflict) {
		t.Fatalf("forgetting what has changed: %v", err)
	}
	e, _ = b.Get(t.Context(), k.Name)
	if err := b.Forget(t.Context(), e, recordstore.Lease{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), k.Name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Fatal(err)
	}
	if m, err := b.Seen(t.Context(), k.Name); err != nil || m.Sequence != 3 {
		t.Fatalf("the mark is %+v, %v", m, err)
	}
	take(t, b, record(2), recordstore.Hosted, names.Older)
	own := recordstoretest.NewKey(t)
	if err := b.Create(t.Context(), own.Name); err != nil {
		t.Fatal(err)
	}
	if e, _ = b.Get(t.Context(), own.Name); b.Forget(t.Context(), e, recordstore.Lease{}) == nil {
		t.Error("an own name was forgotten")
	}
}

// The time until the changes of the store come back is known.
func TestTheLagOfTheChangesIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &names.Book{Store: late{recordstore.NewMemory()}}
		run(t, b)
		synctest.Wait()
		if b.Lag() != 0 {
			t.Errorf("%v before anything was swapped", b.Lag())
		}
		k := recordstoretest.KeyFromSeed(t, 1)
		if _, err := b.Take(t.Context(), k.Record(t, 1, "/ipfs/bafkqaaa", recordstoretest.Epoch), names.Entrance{Origin: recordstore.Hosted}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if b.Lag() != 3*time.Second {
			t.Errorf("%v in place of 3 s", b.Lag())
		}
	})
}

// late is a store whose changes come three seconds late.
type late struct{ *recordstore.Memory }

func (l late) Changes(ctx context.Context, since recordstore.Position) iter.Seq2[recordstore.Change, error] {
	return func(yield func(recordstore.Change, error) bool) {
		for c, err := range l.Memory.Changes(ctx, since) {
			if err == nil && !c.Entry.Name.IsZero() {
				time.Sleep(3 * time.Second)
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// Who catches up with other processes does not wait for ever while they go on swapping, but
// does while nothing comes.
func TestCatchingUpEndsAlthoughOthersSwapAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := recordstore.NewMemory()
		b, other := &names.Book{Store: busy{store}}, &names.Book{Store: store}
		run(t, b)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.CatchUp(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing has come, and it ends: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var swapping sync.WaitGroup
		swapping.Go(func() {
			k := recordstoretest.KeyFromSeed(t, 1)
			for seq := uint64(1); ctx.Err() == nil; seq++ {
				rec := k.Record(t, seq, "/ipfs/bafkqaaa", recordstoretest.Epoch)
				if _, err := other.Take(context.WithoutCancel(ctx), rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
					t.Error(err)
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		if err := b.CatchUp(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		swapping.Wait()
	})
}

// busy is a store of several processes in which there is always something newer.
type busy struct{ *recordstore.Memory }

func (busy) Behind(context.Context, recordstore.Position) (bool, error) { return true, nil }
func (busy) Answered() (time.Time, error)                               { return time.Now(), nil }
