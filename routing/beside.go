package routing

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/goipns/ipns"
)

// besideGrace is how long a search goes on for the Others once Main knows the answer:
// time for one that answers, and little for a caller who waits for all.
const besideGrace = 500 * time.Millisecond

// Beside asks Main and at the same time Others, which are on roads that do not count,
// such as HTTP routers beside the DHT. What any of them says is yielded as it comes, but
// whether a name exists is for Main to say: if its search is complete, the whole is so
// soon after, whatever the Others do, also if one hangs. If Main comes to less, the
// Others are heard to their end, and the whole ends as with [Parallel].
//
// A put goes to all, and ends as with Parallel. It may take as long as the slowest: a
// caller that waits for what counts learns from Look.Counted when it has that.
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
				counted()
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
		var over <-chan time.Time // nil: Main does not know the answer
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
			err = nil // Main knows, whoever else failed
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

// Ask implements Asker. Only Main is asked: of many names at once, Others would be
// asked one by one, and what it knows is enough.
func (b Beside) Ask(ctx context.Context, region Region, names iter.Seq[ipns.Name], closest int) iter.Seq2[Finding, error] {
	return Parallel{b.Main}.Ask(ctx, region, names, closest)
}
