package routing

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/goipns/ipns"
)

// Limits of a sweep by a Router that is not a Sweeper.
const (
	maxConcurrentPuts = 32
	putTimeout        = 2 * time.Minute // for one record
)

// Sweep implements Sweeper. Routers that are not Sweepers put one record after the other,
// several at once. All records are read before any is put. If one cannot be put, the
// others still are, and Sweep ends with an error.
func (p Parallel) Sweep(ctx context.Context, region Region, records iter.Seq[*ipns.Record]) iter.Seq2[Ack, error] {
	return func(yield func(Ack, error) bool) {
		list := slices.Collect(records)
		m := newMerge[Ack](ctx)
		defer m.stop()
		for _, r := range p {
			if s, ok := r.(Sweeper); ok {
				m.add(s.Sweep(m.ctx, region, slices.Values(list)))
			} else {
				m.add(putEach(m.ctx, r, list))
			}
		}
		var ended []error
		for range p {
			end, ok := m.pass(yield)
			if !ok {
				return
			}
			ended = append(ended, end.err)
		}
		if err := m.ended(putError(ended)); err != nil {
			yield(Ack{}, err)
		}
	}
}

// Pace implements Sweeper: it sets the pace of each Router that can sweep.
func (p Parallel) Pace(perSecond float64) {
	for _, r := range p {
		if s, ok := r.(Sweeper); ok {
			s.Pace(perSecond)
		}
	}
}

// Survival implements Sweeper: it returns the sum for all Routers that can sweep.
func (p Parallel) Survival(region Region) Survival {
	var sum Survival
	for _, r := range p {
		if s, ok := r.(Sweeper); ok {
			sum = sum.Add(s.Survival(region))
		}
	}
	return sum
}

// putEach puts records one by one, maxConcurrentPuts at a time.
func putEach(ctx context.Context, r Router, records []*ipns.Record) iter.Seq2[Ack, error] {
	return func(yield func(Ack, error) bool) {
		m := newMerge[Ack](ctx)
		defer m.stop()
		lines := min(maxConcurrentPuts, len(records))
		for first := range lines {
			m.add(putEvery(m.ctx, r, records[first:], lines))
		}
		var ended []error
		for range lines {
			end, ok := m.pass(yield)
			if !ok {
				return
			}
			ended = append(ended, end.err)
		}
		if len(ended) == 0 {
			return
		}
		if err := m.ended(putError(ended)); err != nil {
			yield(Ack{}, err)
		}
	}
}

// putEvery puts every step-th record, one after the other. It stops at once if there is
// no target to put to; otherwise it ends with the first error.
func putEvery(ctx context.Context, r Router, records []*ipns.Record, step int) iter.Seq2[Ack, error] {
	return func(yield func(Ack, error) bool) {
		var first error
		for i, unreachable := 0, false; i < len(records) && !unreachable; i += step {
			if first = Allowed(ctx); first != nil {
				break
			}
			one, cancel := context.WithTimeout(ctx, putTimeout)
			acks := 0
			for ack, err := range r.Put(one, records[i], Look{}) {
				if err != nil {
					if unreachable = acks == 0 && reachedNobody(err); first == nil || unreachable {
						first = err
					}
					break
				}
				acks++
				if !yield(ack, nil) {
					cancel()
					return
				}
			}
			cancel()
			if ctx.Err() != nil {
				break
			}
		}
		if first != nil {
			yield(Ack{}, first)
		}
	}
}

// reachedNobody reports whether a put reached no target, and the next one would not
// either.
func reachedNobody(err error) bool { return errors.Is(err, ErrNoTargets) || errors.Is(err, ErrAway) }
