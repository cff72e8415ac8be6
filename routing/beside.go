package routing

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/goipns/ipns"
)

// besideGrace is how long a search continues on the Others once Main has given its
// answer, so that a caller that waits for all hardly waits longer.
const besideGrace = 500 * time.Millisecond

// Beside asks Main and, at the same time, Others, which are on roads that do not count,
// such as HTTP routers beside the DHT. Their results are yielded as they come, but only
// Main decides whether a name exists: once its search is complete, the whole search soon
// is, even if one of the Others hangs. If Main's search is not complete, the Others run
// to their end, and the search ends as with [Parallel].
//
// A put goes to all and ends as with Parallel, so it can take as long as the slowest. A
// caller that waits only for the acks that count is told by Look.Counted.
type Beside struct {
	Main   Router
	Others []Router
}

func (b Beside) all() Parallel { return slices.Concat([]Router{b.Main}, b.Others) }

// Road implements Roader.
func (b Beside) Road() Road { return RoadOf(b.Main) }

// Put implements Router.
func (b Beside) Put(ctx context.Context, rec *ipns.Record, look Look) iter.Seq2[Ack, error] {
	return func(yield func(Ack, error) bool) {
		counted := look.Counted
		look.Counted = nil
		m := newMerge[Ack](ctx)
		defer m.stop()
		all := b.all()
		for _, r := range all {
			m.add(r.Put(m.ctx, rec, look))
		}
		var ended []error
		for range all {
			end, ok := m.pass(yield)
			if !ok {
				return
			}
			if end.from == 0 && counted != nil {
				counted(end.err)
			}
			ended = append(ended, end.err)
		}
		if err := m.ended(putError(ended)); err != nil {
			yield(Ack{}, err)
		}
	}
}

// Search implements Router.
func (b Beside) Search(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		m := newMerge[Answer](ctx)
		defer m.stop()
		all := b.all()
		for _, r := range all {
			m.add(r.Search(m.ctx, name))
		}
		var ended []error
		answers := 0
		var over <-chan time.Time // nil: Main's search is not complete
		for len(ended) < len(all) {
			select {
			case it := <-m.items:
				switch {
				case it.end && it.from == 0 && it.err == nil:
					grace := time.NewTimer(besideGrace)
					defer grace.Stop() // once
					over = grace.C
					ended = append(ended, nil)
				case it.end:
					ended = append(ended, it.err)
				case !yield(it.value, nil):
					return
				case !it.value.Own:
					answers++
				}
				continue
			case <-over:
				return
			case <-m.ctx.Done():
			}
			break
		}
		err := searchError(ended, answers)
		if over != nil {
			err = nil // Main's search was complete, whoever else failed
		}
		if err := m.ended(err); err != nil {
			yield(Answer{}, err)
		}
	}
}

// Watch implements Watcher as [Parallel] does.
func (b Beside) Watch(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error] {
	return b.all().Watch(ctx, name)
}

// Sweep implements Sweeper as [Parallel] does.
func (b Beside) Sweep(ctx context.Context, region Region, records iter.Seq[*ipns.Record]) iter.Seq2[Ack, error] {
	return b.all().Sweep(ctx, region, records)
}

// Pace implements Sweeper.
func (b Beside) Pace(perSecond float64) { b.all().Pace(perSecond) }

// Survival implements Sweeper.
func (b Beside) Survival(region Region) Survival { return b.all().Survival(region) }

// Ask implements Asker. It asks only Main: the Others would have to be asked for one name
// after the other, and Main is enough.
func (b Beside) Ask(ctx context.Context, region Region, names iter.Seq[ipns.Name], closest int) iter.Seq2[Finding, error] {
	return Parallel{b.Main}.Ask(ctx, region, names, closest)
}
