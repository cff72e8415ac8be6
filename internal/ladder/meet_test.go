package ladder_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/internal/ladder"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// meeting are Rows at which two operations meet. Each hook may be nil.
type meeting struct {
	recordstore.Rows
	ranging        func()                  // before the rows are listed
	got            func(recordstore.Row)   // after a row was read
	before, behind func(r recordstore.Row) // a row is written
}

func (m *meeting) Range(ctx context.Context, table, from, to string) iter.Seq2[recordstore.Row, error] {
	return func(yield func(recordstore.Row, error) bool) {
		if m.ranging != nil {
			m.ranging()
		}
		m.Rows.Range(ctx, table, from, to)(yield)
	}
}

func (m *meeting) Get(ctx context.Context, table, key string) (recordstore.Row, error) {
	r, err := m.Rows.Get(ctx, table, key)
	if m.got != nil {
		m.got(recordstore.Row{Table: table, Key: key})
	}
	return r, err
}

func (m *meeting) Swap(ctx context.Context, r recordstore.Row) (recordstore.Row, error) {
	if m.before != nil {
		m.before(r)
	}
	after, err := m.Rows.Swap(ctx, r)
	if m.behind != nil {
		m.behind(r)
	}
	return after, err
}

func isHeader(r recordstore.Row) bool { return !strings.Contains(r.Key, "/") }

// Two that load at once: the one that comes later must not take the steps of a ladder that is
// being stored for what a crash has left.
func TestALadderThatIsTakenDuringTheStartStaysWhole(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		goOn := make(chan struct{})
		release := sync.OnceFunc(func() { close(goOn) })
		first := true
		s.Keeper.Rows = &meeting{
			Rows: s.rows,
			ranging: func() {
				if first {
					first = false
					<-goOn
				}
			},
			before: func(r recordstore.Row) {
				if isHeader(r) {
					release()
					time.Sleep(time.Minute)
				}
			},
		}
		var started sync.WaitGroup
		started.Go(func() {
			if err := s.Load(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		started.Go(func() { time.Sleep(time.Hour); release() })
		s.take(t, sign(t, desk(), k, numbered(t, k, 4)))
		started.Wait()
		if st := s.status(t, k); len(st.Problems) > 0 || st.Left != 3 {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestALadderThatIsTakenWhileAnEndedOneIsRemovedStays(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		d := desk()
		s.take(t, sign(t, d, k, numbered(t, k, 2)))
		s.run(t, 100*day)
		next := &ladder.Request{Name: k.Name, Made: epoch.Add(300 * day), Steps: []ladder.Want{{Value: "/ipfs/bafkqaaa", Sequence: 7, EOL: epoch.Add(900 * day)}}}
		if err := next.Repeat(31*day, 3, 0); err != nil {
			t.Fatal(err)
		}
		file, err := d.Sign(t.Context(), k.Signer, next, true)
		if err != nil {
			t.Fatal(err)
		}
		s.off = 200 * day
		var taking sync.WaitGroup
		s.Keeper.Rows = &meeting{Rows: s.rows, behind: func(r recordstore.Row) {
			if isHeader(r) && r.Value == nil {
				taking.Go(func() { s.take(t, file) })
				time.Sleep(time.Minute)
			}
		}}
		s.run(t, time.Hour)
		taking.Wait()
		if st := s.status(t, k); len(st.Problems) > 0 || st.Steps != 3 {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestALadderThatIsTakenDuringAReleaseIsReleasedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
		d := desk()
		s.take(t, sign(t, d, k, numbered(t, k, 2)))
		next := numbered(t, k, 3)
		for i := range next.Steps {
			next.Steps[i].Sequence, next.Steps[i].TTL = 8, time.Duration(i+11)*time.Second
		}
		file := sign(t, d, k, next)
		first := true
		s.Keeper.Rows = &meeting{Rows: s.rows, got: func(r recordstore.Row) {
			if first && isHeader(r) {
				first = false
				s.take(t, file)
			}
		}}
		if rec, err := s.Due(t.Context(), k.Name); err != nil || rec != nil && rec.Sequence() != 8 {
			t.Errorf("%v, %v", rec, err)
		}
		s.run(t, time.Minute)
		if !slices.Equal(s.put, []uint64{11}) {
			t.Errorf("released %v", s.put)
		}
	})
}

// What is left of a list says nothing of the end of the ladder.
func TestADamagedLadderIsAtRiskAndCanBeReplaced(t *testing.T) {
	for what, damage := range map[string]func(r recordstore.Row) []byte{
		"the list is torn": func(r recordstore.Row) []byte {
			if isHeader(r) {
				return r.Value[:100]
			}
			return r.Value
		},
		"no step can be read": func(r recordstore.Row) []byte {
			if isHeader(r) {
				return r.Value
			}
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *shelf, k recordstoretest.Key) {
				d := desk()
				s.take(t, sign(t, d, k, numbered(t, k, 4)))
				s.run(t, time.Hour)
				for row, err := range s.rows.Range(t.Context(), "ladder", "", "") {
					if err != nil {
						t.Fatal(err)
					}
					row.Value = damage(row)
					if _, err := s.rows.Swap(t.Context(), row); err != nil {
						t.Fatal(err)
					}
				}
				s.again()
				s.run(t, time.Minute)
				e, err := s.Book.Get(t.Context(), k.Name)
				if err != nil || !strings.Contains(s.Outlook(e).Risk, "its ladder: ") {
					t.Errorf("outlook: %+v, %v", s.Outlook(e), err)
				}
				s.take(t, sign(t, d, k, numbered(t, k, 5)))
				if st := s.status(t, k); len(st.Problems) > 0 || st.Risk != "" || st.Left != 4 {
					t.Errorf("status: %+v", st)
				}
			})
		})
	}
}
