package ladder_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// shelf is a keeper in virtual time that begins at epoch, with a clock that can be set.
type shelf struct {
	*ladder.Keeper
	store *recordstore.Memory
	rows  recordstore.Rows
	off   time.Duration // the clock is ahead, while no keeper runs
	ahead atomic.Int64  // and that much more
	put   []uint64      // TTLs of the released records in seconds, which name the steps
	fail  error         // of Put
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{store: recordstore.NewMemory(), rows: &recordstore.MemoryRows{}}
	begin := time.Now()
	s.open(func() time.Time { return epoch.Add(time.Since(begin) + s.off + time.Duration(s.ahead.Load())) })
	return s
}

// open makes the keeper, as a start of the daemon does.
func (s *shelf) open(now func() time.Time) {
	s.Keeper = &ladder.Keeper{Book: &names.Book{Store: s.store, Now: now}, Rows: s.rows, Now: now}
	book := s.Book
	s.Put = func(ctx context.Context, rec *ipns.Record) error {
		if s.fail != nil {
			return s.fail
		}
		_, err := book.Take(ctx, rec, names.Entrance{Origin: recordstore.Hosted})
		s.put = append(s.put, uint64(rec.TTL()/time.Second))
		return err
	}
}

// again is a restart.
func (s *shelf) again() { s.open(s.Now) }

// run runs the keeper for a while.
func (s *shelf) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

func (s *shelf) take(t *testing.T, file []byte) ladder.Taken {
	t.Helper()
	l, recs := decoded(t, file)
	taken, err := s.Take(t.Context(), l, recs)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func (s *shelf) status(t *testing.T, k recordstoretest.Key) ladder.Status {
	t.Helper()
	st, err := s.Status(t.Context(), k.Name)
	if err != nil || st == nil {
		t.Fatalf("status: %v, %v", st, err)
	}
	return *st
}

// numbered is a request whose steps are told apart by their TTL.
func numbered(t *testing.T, k recordstoretest.Key, steps int) *ladder.Request {
	r := request(t, k, steps)
	for i := range r.Steps {
		r.Steps[i].TTL = time.Duration(i+1) * time.Second
	}
	return r
}

// bubble runs a test with a shelf in virtual time.
func bubble(t *testing.T, f func(t *testing.T, s *shelf, k recordstoretest.Key)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newShelf(t), recordstoretest.KeyFromSeed(t, 1)) })
}

func TestStepsAreReleasedInTimeAndOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		s.take(t, sign(t, desk(), k, numbered(t, k, 4)))
		s.run(t, time.Hour)
		if !slices.Equal(s.put, []uint64{1}) {
			t.Fatalf("at first: %v", s.put)
		}
		if st := s.status(t, k); st.Left != 3 || st.Steps != 4 || !st.Next.Equal(epoch.Add(31*day)) || st.NextValue != "/ipfs/bafkqaaa" || !st.End.Equal(epoch.Add(3*31*day+46*day)) || st.Risk != "" {
			t.Errorf("status: %+v", st)
		}
		s.run(t, 31*day-time.Hour-time.Second)
		if !slices.Equal(s.put, []uint64{1}) {
			t.Fatalf("a second before the release: %v", s.put)
		}
		s.again()
		s.run(t, 2*time.Second)
		if !slices.Equal(s.put, []uint64{1, 2}) {
			t.Fatalf("a second after it, by another process: %v", s.put)
		}
		s.again()
		s.run(t, 80*day)
		if !slices.Equal(s.put, []uint64{1, 2, 3, 4}) {
			t.Fatalf("at the end: %v", s.put)
		}
		if st := s.status(t, k); st.Left != 0 || !strings.Contains(st.Risk, "its ladder ends 2027-04-08") {
			t.Errorf("status: %+v", st)
		}
	})
}

// A process that was away for two releases makes the newer one only.
func TestAMissedStepIsSkipped(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		s.take(t, sign(t, desk(), k, numbered(t, k, 4)))
		time.Sleep(65 * day)
		s.run(t, time.Hour)
		if !slices.Equal(s.put, []uint64{3}) {
			t.Errorf("released %v", s.put)
		}
	})
}

func TestAFailedReleaseIsTriedAgainAndSaid(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		s.take(t, sign(t, desk(), k, numbered(t, k, 2)))
		s.fail = errors.New("the disk is full")
		s.run(t, time.Hour)
		e, err := s.Book.Get(t.Context(), k.Name)
		if err != nil || !strings.Contains(s.Outlook(e).Risk, "not released: the disk is full") || s.status(t, k).Waiting != "the disk is full" {
			t.Errorf("%+v, %v", s.Outlook(e), err)
		}
		s.fail = nil
		s.run(t, 2*time.Minute)
		if st := s.status(t, k); !slices.Equal(s.put, []uint64{1}) || st.Waiting != "" || st.Risk != "" {
			t.Errorf("released %v, %+v", s.put, st)
		}
	})
}

// Somebody changes or removes what is stored. It is said, and stops no other step.
func TestAStepThatWasChangedOrRemovedIsSaid(t *testing.T) {
	for what, c := range map[string]struct {
		change func(r recordstore.Row) []byte
		says   string
		header bool
		put    []uint64
	}{
		"removed": {func(recordstore.Row) []byte { return nil }, "step 2 of 4 was removed", false, []uint64{1, 3, 4}},
		"changed": {func(r recordstore.Row) []byte { r.Value[60] ^= 1; return r.Value }, "step 2 of 4 was changed", false, []uint64{1, 3, 4}},
		"torn":    {func(r recordstore.Row) []byte { return r.Value[:50] }, "step 2 of 4 was changed", false, []uint64{1, 3, 4}},
		"released earlier": {func(r recordstore.Row) []byte {
			return []byte(strings.Replace(string(r.Value), "2026-12-21", "2026-11-21", 1))
		}, "step 2 of 4 was changed", false, []uint64{1, 3, 4}},
		"the list is torn": {func(r recordstore.Row) []byte { return r.Value[:100] }, "the ladder's list of steps: it is not as it was signed", true, []uint64{1}},
		"the signature is other": {func(r recordstore.Row) []byte {
			return []byte(strings.Replace(string(r.Value), `"Signature":"`, `"Signature":"AAAA`, 1))
		}, "a step was removed, added or moved: it is not as it was signed", true, []uint64{1, 2, 3, 4}},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(what, " restart ", restart), func(t *testing.T) {
				bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
					file := sign(t, desk(), k, numbered(t, k, 4))
					s.take(t, file)
					s.run(t, time.Hour)
					l, _ := decoded(t, file)
					hash := l.Steps[1].Hash()
					key := fmt.Sprintf("%s/%x", k.Name, hash[:])
					if c.header {
						key = k.Name.String()
					}
					row, err := s.rows.Get(t.Context(), "ladder", key)
					if err != nil {
						t.Fatal(err)
					}
					row.Value = c.change(row)
					if _, err := s.rows.Swap(t.Context(), row); err != nil {
						t.Fatal(err)
					}
					if restart {
						s.again()
					}
					if st := s.status(t, k); len(st.Problems) == 0 || st.Problems[0] != c.says || !strings.Contains(st.Risk, c.says) {
						t.Errorf("status: %+v", st)
					}
					s.run(t, 100*day)
					if !slices.Equal(s.put, c.put) {
						t.Errorf("released %v, want %v", s.put, c.put)
					}
				})
			})
		}
	}
}

func TestSomethingNewerOvertakesALadder(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		s.take(t, sign(t, desk(), k, numbered(t, k, 4)))
		s.run(t, time.Hour)
		newer := k.Record(t, 8, "/ipfs/bafkqabtimvwgy3yk", epoch.Add(300*day))
		if _, err := s.Book.Take(t.Context(), newer, names.Entrance{Origin: recordstore.Hosted}); err != nil {
			t.Fatal(err)
		}
		s.run(t, 100*day)
		if st := s.status(t, k); !slices.Equal(s.put, []uint64{1}) || st.Risk != "" {
			t.Errorf("released %v, %+v", s.put, st)
		}
		// The same ladder again is older than what is known.
		l, recs := decoded(t, sign(t, desk(), k, numbered(t, k, 4)))
		if _, err := s.Take(t.Context(), l, recs); !errors.Is(err, ladder.ErrOlder) {
			t.Errorf("taken again: %v", err)
		}
	})
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		// Of staged values, those that are older are dropped, the others released.
		r := numbered(t, k, 4)
		for i := range r.Steps {
			r.Steps[i].Sequence = uint64(10 * i)
		}
		s.take(t, sign(t, desk(), k, r))
		s.run(t, time.Hour)
		newer := k.Record(t, 15, "/ipfs/bafkqabtimvwgy3yk", epoch.Add(300*day))
		if _, err := s.Book.Take(t.Context(), newer, names.Entrance{Origin: recordstore.Hosted}); err != nil {
			t.Fatal(err)
		}
		if st := s.status(t, k); st.Left != 2 || st.Overtaken != 1 {
			t.Errorf("status: %+v", st)
		}
		s.run(t, 100*day)
		if !slices.Equal(s.put, []uint64{1, 3, 4}) {
			t.Errorf("released %v", s.put)
		}
	})
}

func TestNoPublishHereUsesASequenceOfALadder(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		r := numbered(t, k, 3)
		for i := range r.Steps {
			r.Steps[i].Sequence = uint64(10 * i)
			r.Steps[i].At = r.Steps[i].At.Add(day) // none is due
		}
		s.take(t, sign(t, desk(), k, r))
		if e, err := s.Book.Get(t.Context(), k.Name); err != nil || e.Next != 21 || e.Origin != recordstore.Hosted {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

func TestOfTwoLaddersOfANameTheNewerStays(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		short, long := sign(t, desk(), k, numbered(t, k, 4)), sign(t, desk(), k, numbered(t, k, 6))
		s.take(t, short)
		s.run(t, time.Hour)
		if taken := s.take(t, short); !taken.Same {
			t.Errorf("again: %+v", taken)
		}
		if taken := s.take(t, long); taken.Same || taken.Replaced != 3 {
			t.Errorf("the longer one: %+v", taken)
		}
		l, recs := decoded(t, short)
		if _, err := s.Take(t.Context(), l, recs); !errors.Is(err, ladder.ErrOlder) {
			t.Errorf("the shorter one: %v", err)
		}
		s.run(t, 160*day)
		if !slices.Equal(s.put, []uint64{1, 2, 3, 4, 5, 6}) {
			t.Errorf("released %v", s.put)
		}
	})
}

// A clock that jumps ahead releases nothing if others say that it is wrong, and one that goes
// back takes nothing back.
func TestAClockThatJumps(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		s.take(t, sign(t, desk(), k, numbered(t, k, 4)))
		s.run(t, time.Hour)
		wrong := errors.New("the clock is an hour fast")
		s.off, s.Clock = 80*day, func() error { return wrong }
		s.run(t, time.Hour)
		if st := s.status(t, k); !slices.Equal(s.put, []uint64{1}) || st.Waiting != wrong.Error() {
			t.Errorf("released %v, %+v", s.put, st)
		}
		s.off, wrong = 0, nil
		s.run(t, 31*day)
		if st := s.status(t, k); !slices.Equal(s.put, []uint64{1, 2}) || st.Waiting != "" {
			t.Errorf("released %v, %+v", s.put, st)
		}
		s.off = -20 * day
		s.again()
		s.run(t, time.Hour)
		if st := s.status(t, k); !slices.Equal(s.put, []uint64{1, 2}) || st.Risk != "" {
			t.Errorf("released %v, %+v", s.put, st)
		}
		// A jump is noticed within a minute, though nothing tells of it.
		s.off = 35 * day
		s.run(t, 2*time.Minute)
		if !slices.Equal(s.put, []uint64{1, 2, 3}) {
			t.Errorf("released %v", s.put)
		}
	})
}

func TestExpiredStepsAreSkipped(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		file := sign(t, desk(), k, numbered(t, k, 4))
		s.off = 100 * day // the first two are over
		if taken := s.take(t, file); taken.Skipped != 2 {
			t.Errorf("taken: %+v", taken)
		}
		s.run(t, time.Hour)
		if !slices.Equal(s.put, []uint64{4}) {
			t.Errorf("released %v", s.put)
		}
		s.off = 200 * day
		l, recs := decoded(t, file)
		if _, err := s.Take(t.Context(), l, recs); !errors.Is(err, ipns.ErrExpired) {
			t.Errorf("all over: %v", err)
		}
	})
}

// After a restore, the network is asked before anything is released.
func TestARestoredLadderWaitsForTheNetwork(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		s.take(t, sign(t, desk(), k, numbered(t, k, 4)))
		s.store.Renew()
		s.again()
		s.run(t, time.Hour)
		if st := s.status(t, k); len(s.put) > 0 || !strings.Contains(st.Waiting, "the network must be asked first") {
			t.Errorf("released %v, %+v", s.put, st)
		}
		s.Ask = func(ctx context.Context, name ipns.Name) error {
			_, err := s.Book.Take(ctx, k.Record(t, 7, "/ipfs/bafkqaaa", epoch.Add(60*day)), names.Entrance{})
			return err
		}
		s.run(t, 32*day)
		if !slices.Equal(s.put, []uint64{2}) {
			t.Errorf("released %v, and the first is older than what was found", s.put)
		}
	})
}

// A crash at every write leaves the whole ladder or none, and the ladder before it.
func TestALadderIsStoredWholeOrNotAtAll(t *testing.T) {
	before, after := 2, 5
	for cut := 1; ; cut++ {
		done := false
		for _, apply := range []bool{false, true} {
			bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
				s.take(t, sign(t, desk(), k, numbered(t, k, before)))
				rows := s.rows
				s.Keeper.Rows = &failing{Rows: rows, left: cut, apply: apply}
				l, recs := decoded(t, sign(t, desk(), k, numbered(t, k, after)))
				_, err := s.Take(t.Context(), l, recs)
				done = err == nil && s.Keeper.Rows.(*failing).left > 0
				s.again()
				st := s.status(t, k)
				if len(st.Problems) > 0 || st.Steps != before && st.Steps != after || err == nil && st.Steps != after {
					t.Errorf("cut at write %d: %+v, %v", cut, st, err)
				}
				count := 0
				for _, err := range rows.Range(t.Context(), "ladder", "", "") {
					if err != nil {
						t.Fatal(err)
					}
					count++
				}
				if count != st.Steps+1 {
					t.Errorf("cut at write %d: %d rows for %d steps", cut, count, st.Steps)
				}
				s.take(t, sign(t, desk(), k, numbered(t, k, after)))
			})
		}
		if done {
			if cut < after {
				t.Errorf("only %d writes", cut)
			}
			return
		}
	}
}

func TestTheLaddersHereAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		l := &ladder.Ladder{Name: k.Name, Steps: make([]ladder.Step, ladder.MaxKept+1)}
		recs := make([]*ipns.Record, len(l.Steps))
		rec := k.Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(time.Hour))
		for i := range recs {
			recs[i] = rec
		}
		if _, err := s.Take(t.Context(), l, recs); !errors.Is(err, ladder.ErrFull) {
			t.Error(err)
		}
	})
}

// What is to be released, and what the name leads to now, is not garbage.
func TestWhatIsAheadIsListed(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		s.take(t, sign(t, desk(), k, numbered(t, k, 4)))
		listed := func(want ...uint64) {
			t.Helper()
			var got []uint64
			for rec, err := range s.Ahead(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, uint64(rec.TTL()/time.Second))
			}
			if !slices.Equal(got, want) {
				t.Errorf("ahead are %v, not %v", got, want)
			}
		}
		listed(1, 2, 3, 4)
		s.run(t, 32*day)
		listed(2, 3, 4)
		s.again()
		listed(2, 3, 4)
		if _, err := s.Book.Take(t.Context(), k.Record(t, 8, "/ipfs/bafkqaaa", epoch.Add(400*day)), names.Entrance{}); err != nil {
			t.Fatal(err)
		}
		listed()
	})
}
