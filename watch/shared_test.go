package watch_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/watch"
)

// half are the leases of a process: those of all keys, or none.
type half struct {
	mu      sync.Mutex
	all     bool
	changed chan struct{}
}

func (h *half) HoldsKey([32]byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all
}

func (h *half) Changed() <-chan struct{} { return h.changed }

func (h *half) set(all bool) {
	h.mu.Lock()
	h.all = all
	h.mu.Unlock()
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// Of two processes that share a store, the one that holds the sector of a webhook sends what
// changes: each change once as long as nobody fails, and none is lost when the other takes
// over. What one process adds, removes or warns of, the other sees.
func TestOneOfTheProcessesThatShareAStoreSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, rows := recordstore.NewMemory(), new(recordstore.MemoryRows)
		begin := time.Now()
		var boxes [2]*inbox
		var leases [2]*half
		var hooks [2]*watch.Webhooks
		for i := range 2 {
			b := &names.Book{Store: store, Now: func() time.Time { return epoch.Add(time.Since(begin)) }}
			boxes[i], leases[i] = &inbox{}, &half{all: i == 0, changed: make(chan struct{}, 1)}
			hooks[i] = &watch.Webhooks{Names: &watch.Names{Book: b}, Rows: rows, Transport: boxes[i], Leases: leases[i]}
			ctx, cancel := context.WithCancel(context.Background())
			var over sync.WaitGroup
			over.Go(func() { _ = b.Run(ctx) })
			over.Go(func() {
				if err := hooks[i].Run(ctx); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
			defer func() { cancel(); over.Wait() }()
		}
		synctest.Wait()
		// The process that does not hold it adds it.
		hook, err := hooks[1].Add(t.Context(), watch.Webhook{URL: "http://receiver.example/"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		k := recordstoretest.KeyFromSeed(t, 1)
		publish := func(seq int) {
			t.Helper()
			book := hooks[seq%2].Names.Book
			rec := k.Record(t, uint64(seq), fmt.Sprintf("/ipfs/bafkqaaa/%d", seq), epoch.Add(1000*time.Hour))
			if _, err := book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		for seq := range 10 {
			publish(seq)
		}
		got := [2][]uint64{boxes[0].sequences(k.Name), boxes[1].sequences(k.Name)}
		if !slices.Equal(got[0], []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) || len(got[1]) != 0 {
			t.Errorf("sent by the holder: %v, by the other: %v", got[0], got[1])
		}
		leases[0].set(false)
		publish(10) // nobody holds it: it waits
		leases[1].set(true)
		time.Sleep(5 * time.Second)
		publish(11)
		publish(12)
		if now := boxes[0].sequences(k.Name); len(now) != len(got[0]) {
			t.Errorf("who has lost the sector sends: %v", now)
		}
		list := boxes[1].sequences(k.Name)
		if want := []uint64{10, 11, 12}; len(list) < 3 || !slices.Equal(list[len(list)-3:], want) {
			t.Errorf("the new holder sends %v, not %v", list, want)
		}
		tries, _ := boxes[1].count()
		if err := hooks[0].Warn(t.Context(), k.Name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if n, _ := boxes[1].count(); n != tries+1 {
			t.Errorf("a warning by the other process was sent %d times", n-tries)
		}
		if _, err := hooks[0].Remove(t.Context(), hook.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		tries, _ = boxes[1].count()
		publish(13)
		if n, _ := boxes[1].count(); n != tries {
			t.Error("a webhook that the other process has removed is sent to")
		}
		for row, err := range rows.All(t.Context()) {
			t.Errorf("row %s/%s is left, %v", row.Table, row.Key, err)
		}
	})
}

// stoppedRows are the rows of a process that is stopped for two minutes when it is about to
// forget what waited.
type stoppedRows struct {
	recordstore.Rows
	once *sync.Once
	end  func() // called when it has gone on
}

func (r stoppedRows) Swap(ctx context.Context, row recordstore.Row) (recordstore.Row, error) {
	ctx = context.WithoutCancel(ctx) // all of the process was stopped: it does not know of its lease yet
	if row.Table == "webhook-waiting" && row.Value == nil {
		stopped := false
		r.once.Do(func() { stopped = true; time.Sleep(2 * time.Minute) })
		row, err := r.Rows.Swap(ctx, row)
		if !stopped || !errors.Is(err, recordstore.ErrConflict) {
			r.end()
		}
		return row, err
	}
	return r.Rows.Swap(ctx, row)
}

func (r stoppedRows) Get(ctx context.Context, table, key string) (recordstore.Row, error) {
	return r.Rows.Get(context.WithoutCancel(ctx), table, key)
}

// What waits since another process serves a webhook is not lost because one that was stopped
// goes on where it was.
func TestAProcessThatWasStoppedForgetsNothingOfItsSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, rows := recordstore.NewMemory(), new(recordstore.MemoryRows)
		begin := time.Now()
		var leases [3]*half
		var hooks [3]*watch.Webhooks
		var stop [3]func()
		fails := func(tries int) func(*http.Request, int) (int, error) {
			return func(_ *http.Request, n int) (int, error) {
				if n <= tries {
					return http.StatusServiceUnavailable, nil
				}
				return http.StatusNoContent, nil
			}
		}
		last := &inbox{}
		boxes := [3]*inbox{{answer: fails(1)}, {answer: fails(1 << 20)}, last}
		for i := range hooks {
			b := &names.Book{Store: store, Now: func() time.Time { return epoch.Add(time.Since(begin)) }}
			leases[i] = &half{all: i == 0, changed: make(chan struct{}, 1)}
			hooks[i] = &watch.Webhooks{Names: &watch.Names{Book: b}, Rows: rows, Transport: boxes[i], Leases: leases[i]}
			ctx, cancel := context.WithCancel(context.Background())
			var over sync.WaitGroup
			over.Go(func() { _ = b.Run(ctx) })
			if i == 0 {
				hooks[i].Rows = stoppedRows{rows, new(sync.Once), func() { stop[1]() }}
			}
			over.Go(func() { _ = hooks[i].Run(ctx) })
			stop[i] = sync.OnceFunc(func() { cancel(); over.Wait() })
			defer stop[i]()
		}
		synctest.Wait()
		if _, err := hooks[0].Add(t.Context(), watch.Webhook{URL: "http://receiver.example/"}); err != nil {
			t.Fatal(err)
		}
		k := recordstoretest.KeyFromSeed(t, 1)
		publish := func(seq uint64) {
			t.Helper()
			rec := k.Record(t, seq, "/ipfs/bafkqaaa", epoch.Add(1000*time.Hour))
			if _, err := hooks[2].Names.Book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
				t.Fatal(err)
			}
		}
		publish(1)
		time.Sleep(30 * time.Second)
		if got := boxes[0].sequences(k.Name); !slices.Equal(got, []uint64{1}) {
			t.Fatalf("the first process has sent %v", got)
		}
		leases[0].set(false) // it is stopped: the sector goes to another
		leases[1].set(true)
		time.Sleep(10 * time.Second)
		publish(2)
		time.Sleep(5 * time.Minute) // the first goes on meanwhile, and the receiver takes nothing
		stop[1]()                   // at once when the first has gone on, if that deletes what waits
		leases[2].set(true)
		time.Sleep(2 * time.Hour)
		if got := last.sequences(k.Name); !slices.Equal(got, []uint64{2}) {
			t.Errorf("the third process has sent %v: what waited was lost", got)
		}
	})
}

// lateRows list webhooks slowly.
type lateRows struct{ recordstore.Rows }

func (r lateRows) Range(ctx context.Context, table, from, to string) iter.Seq2[recordstore.Row, error] {
	return func(yield func(recordstore.Row, error) bool) {
		var list []recordstore.Row
		for row, err := range r.Rows.Range(ctx, table, from, to) {
			if err != nil {
				yield(row, err)
				return
			}
			list = append(list, row)
		}
		if table == "webhooks" {
			time.Sleep(1500 * time.Millisecond)
		}
		for _, row := range list {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// A webhook that is added while the list of webhooks is read, for those that others have
// removed, stays.
func TestAWebhookThatIsAddedWhileOthersAreLookedForStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, rows := recordstore.NewMemory(), new(recordstore.MemoryRows)
		b, in := &names.Book{Store: store}, &inbox{}
		hooks := &watch.Webhooks{
			Names: &watch.Names{Book: b}, Rows: lateRows{rows}, Transport: in,
			Leases: &half{all: true, changed: make(chan struct{}, 1)},
		}
		ctx, cancel := context.WithCancel(t.Context())
		var over sync.WaitGroup
		defer over.Wait()
		defer cancel()
		over.Go(func() { _ = b.Run(ctx) })
		over.Go(func() { _ = hooks.Run(ctx) })
		for range 20 {
			if _, err := hooks.Add(ctx, watch.Webhook{URL: "http://receiver.example/"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		if list, err := hooks.List(ctx); err != nil || len(list) != 20 {
			t.Errorf("of 20 webhooks there are %d, %v", len(list), err)
		}
	})
}
