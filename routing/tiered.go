package routing

import (
	"context"
	"iter"
	"time"

	"github.com/goipns/ipns"
)

// Tiered asks its Tiers in order. It asks the next one if the earlier ones have ended
// without a record, or have found none within Delay of the last being asked. A tier once
// asked is not cut off. Puts go to all tiers at once.
//
// It is for a near network before a far one, such as an HTTP router before the DHT: a
// sequential router in the config is one.
type Tiered struct {
	Tiers []Router
	Delay time.Duration // 0: wait for each tier, however long it takes
}

// Road implements Roader.
func (t Tiered) Road() Road { return firstRoad(t.Tiers) }

// Put implements Router as [Parallel] does.
func (t Tiered) Put(ctx context.Context, rec *ipns.Record, look Look) iter.Seq2[Ack, error] {
	return Parallel(t.Tiers).Put(ctx, rec, look)
}

// Watch implements Watcher as [Parallel] does.
func (t Tiered) Watch(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error] {
	return Parallel(t.Tiers).Watch(ctx, name)
}

// Search implements Router. It ends like the search of [Parallel] over the tiers that
// were asked.
func (t Tiered) Search(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		m := newMerge[Answer](ctx)
		defer m.stop()
		s := tieredSearch{tiers: t.Tiers, merge: m, name: name, delay: t.Delay}
		s.next()
		if !s.run(yield) {
			return
		}
		if err := m.ended(searchError(s.ended, s.answers)); err != nil {
			yield(Answer{}, err)
		}
	}
}

type tieredSearch struct {
	tiers []Router // not asked yet
	merge *merge[Answer]
	name  ipns.Name
	delay time.Duration

	late    <-chan time.Time // nil: wait
	running int
	answers int
	found   bool
	ended   []error
}

// next asks the next tier if there is one and it is needed.
func (s *tieredSearch) next() {
	s.late = nil
	if s.found || len(s.tiers) == 0 {
		return
	}
	s.merge.add(s.tiers[0].Search(s.merge.ctx, s.name))
	s.tiers = s.tiers[1:]
	s.running++
	if s.delay > 0 {
		s.late = time.After(s.delay)
	}
}

// run yields answers until all tiers that were asked have ended, or the context has. It
// returns false if the consumer stopped.
func (s *tieredSearch) run(yield func(Answer, error) bool) bool {
	for s.running > 0 {
		select {
		case it := <-s.merge.items:
			if it.end {
				s.running--
				s.ended = append(s.ended, it.err)
				s.next()
				continue
			}
			if !it.value.Own {
				s.answers++
			}
			s.found = s.found || it.value.Record != nil
			if !yield(it.value, nil) {
				return false
			}
		case <-s.late:
			s.next()
		case <-s.merge.ctx.Done():
			return true
		}
	}
	return true
}
