package republisher

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// slow is a store whose first read of due names ends only when free is closed.
type slow struct {
	*recordstore.Memory
	began bool
	free  chan struct{}
}

func (s *slow) Due(ctx context.Context, region recordstore.Region, before time.Time) iter.Seq2[recordstore.Work, error] {
	first := !s.began
	s.began = true
	return func(yield func(recordstore.Work, error) bool) {
		for w, err := range s.Memory.Due(ctx, region, before) {
			if !yield(w, err) {
				return
			}
		}
		if first {
			<-s.free
		}
	}
}

// Two who look at once, such as two who ask for metrics: a scan that began before a name came
// does not take the place of one that has it.
func TestAScanDoesNotForgetWhatALaterOneFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{Memory: recordstore.NewMemory(), free: make(chan struct{})}
		r := &Republisher{Book: &names.Book{Store: s}}
		k := recordstoretest.KeyFromSeed(t, 1)
		for seed := uint64(2); sectorOf(k.Name) != 0; seed++ {
			k = recordstoretest.KeyFromSeed(t, seed)
		}
		look := func() {
			if _, err := r.Look(t.Context()); err != nil {
				t.Error(err)
			}
		}
		go look()
		synctest.Wait()
		if _, err := s.Swap(t.Context(), k.Entry(t, 1, recordstoretest.Value(1), recordstore.Hosted), recordstore.Lease{}); err != nil {
			t.Fatal(err)
		}
		r.touch(k.Name)
		go look()
		synctest.Wait()
		close(s.free)
		synctest.Wait()
		if n := r.Status().Hosted; n != 1 {
			t.Errorf("%d hosted names, not 1", n)
		}
	})
}
