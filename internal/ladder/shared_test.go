package ladder_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/ladder"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// half are the leases of a process: those of all names, or none.
type half struct {
	all     atomic.Bool
	changed chan struct{}
}

func (h *half) Holds(ipns.Name) bool     { return h.all.Load() }
func (h *half) Changed() <-chan struct{} { return h.changed }

// Of two processes that share a store, the one that holds a name releases its steps, also of
// a ladder that the other has taken; when it is gone, the other goes on.
func TestOneOfTheProcessesThatShareAStoreReleases(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		var mu sync.Mutex
		var put [2][]uint64
		var keepers [2]*ladder.Keeper
		var leases [2]*half
		ctx, cancel := context.WithCancel(t.Context())
		var over sync.WaitGroup
		defer over.Wait()
		defer cancel()
		for i := range 2 {
			book := &names.Book{Store: s.store, Now: s.Now}
			leases[i] = &half{changed: make(chan struct{}, 1)}
			keepers[i] = &ladder.Keeper{Book: book, Rows: s.rows, Now: s.Now, Leases: leases[i]}
			keepers[i].Put = func(ctx context.Context, rec *ipns.Record) error {
				mu.Lock()
				put[i] = append(put[i], uint64(rec.TTL()/time.Second))
				mu.Unlock()
				_, err := book.Take(ctx, rec, names.Entrance{Origin: recordstore.Hosted})
				return err
			}
			over.Go(func() { _ = keepers[i].Run(ctx) })
		}
		leases[0].all.Store(true)
		time.Sleep(time.Hour)
		l, recs := decoded(t, sign(t, desk(), k, numbered(t, k, 4)))
		if _, err := keepers[1].Take(t.Context(), l, recs); err != nil {
			t.Fatal(err)
		}
		jump := func() { // not by sleeping: they look each minute
			synctest.Wait()
			s.ahead.Add(int64(31 * day))
			time.Sleep(10 * time.Minute)
		}
		check := func(a, b []uint64) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(put[0], a) || !slices.Equal(put[1], b) {
				t.Fatalf("released %v and %v, not %v and %v", put[0], put[1], a, b)
			}
		}
		time.Sleep(10 * time.Minute)
		check([]uint64{1}, nil)
		jump()
		check([]uint64{1, 2}, nil)
		leases[0].all.Store(false)
		jump()
		check([]uint64{1, 2}, nil)
		leases[1].all.Store(true)
		leases[1].changed <- struct{}{}
		time.Sleep(time.Second)
		check([]uint64{1, 2}, []uint64{3})
	})
}

// A process that reads the ladders while another is taking one leaves its steps.
func TestAnotherProcessLeavesTheStepsOfALadderThatIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		book := &names.Book{Store: s.store, Now: s.Now}
		slow := &slowRows{Rows: s.rows, pause: 7 * time.Minute}
		taker := &ladder.Keeper{Book: book, Rows: slow, Now: s.Now, Leases: &half{changed: make(chan struct{})}}
		other := &ladder.Keeper{Book: book, Rows: s.rows, Now: s.Now, Leases: &half{changed: make(chan struct{})}}
		ctx, cancel := context.WithCancel(t.Context())
		var over sync.WaitGroup
		defer over.Wait()
		defer cancel()
		over.Go(func() { _ = other.Run(ctx) })
		l, recs := decoded(t, sign(t, desk(), k, numbered(t, k, 4)))
		if _, err := taker.Take(t.Context(), l, recs); err != nil {
			t.Fatal(err)
		}
		status, err := taker.Status(t.Context(), k.Name)
		if err != nil || status.Left != 3 || len(status.Problems) > 0 {
			t.Fatalf("%+v, %v", status, err)
		}
		left := recordstore.Row{Table: "ladder", Key: k.Name.String() + "/left", Value: []byte("{}")}
		if _, err := s.rows.Swap(t.Context(), left); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := s.rows.Get(t.Context(), left.Table, left.Key); !errors.Is(err, recordstore.ErrNotFound) {
			t.Errorf("what a crash has left stays: %v", err)
		}
	})
}

// slowRows are rows to which a ladder is slowly written: its list comes last.
type slowRows struct {
	recordstore.Rows
	pause time.Duration
}

func (s *slowRows) Swap(ctx context.Context, r recordstore.Row) (recordstore.Row, error) {
	if !strings.Contains(r.Key, "/") {
		time.Sleep(s.pause)
	}
	return s.Rows.Swap(ctx, r)
}

// A process that takes a ladder for ended, and is about to remove it, leaves the one alone that
// another has taken in its place meanwhile.
func TestALadderThatAnotherProcessTakesIsNotRemovedWithTheOneBefore(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		book := &names.Book{Store: s.store, Now: s.Now}
		keeper := func() *ladder.Keeper {
			return &ladder.Keeper{Book: book, Rows: s.rows, Now: s.Now, Leases: &half{changed: make(chan struct{})}}
		}
		removing, taking := keeper(), keeper()
		removing.Put = func(context.Context, *ipns.Record) error { return nil }
		l, recs := decoded(t, sign(t, desk(), k, numbered(t, k, 2)))
		if _, err := removing.Take(t.Context(), l, recs); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var over sync.WaitGroup
		defer over.Wait()
		defer cancel()
		over.Go(func() { _ = removing.Run(ctx) })
		time.Sleep(time.Second) // it has read all, and looks again in a minute
		synctest.Wait()
		s.ahead.Add(int64(200 * day))
		l, recs = decoded(t, sign(t, desk(), k, numbered(t, k, 24)))
		if _, err := taking.Take(t.Context(), l, recs); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		for _, each := range []*ladder.Keeper{removing, keeper()} {
			if st, err := each.Status(t.Context(), k.Name); err != nil || st == nil || st.Steps != 24 || len(st.Problems) > 0 {
				t.Errorf("%+v, %v", st, err)
			}
		}
	})
}
