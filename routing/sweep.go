package routing

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/goipns/ipns"
)

// Limits of a sweep by a Router that is no Sweeper.
const (
	putsAtOnce = 32
	putTimeout = 2 * time.Minute // for one record
)

// Sweep implements Sweeper: each Router that can sweep does, and the others put
// one record after the other, several at once. The records are read once, before
// any is put. One that fails leaves the others of the Router alone; the sweep
// then ends with an error.
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

// Pace implements Sweeper: each Router that can sweep gets the pace.
func (p Parallel) Pace(perSecond float64) {
	for _, r := range p {
		if s, ok := r.(Sweeper); ok {
			s.Pace(perSecond)
		}
	}
}

// Survival implements Sweeper: it sums up what those that can sweep have found.
func (p Parallel) Survival(region Region) Survival {
	var sum Survival
	for _, r := range p {
		if s, ok := r.(Sweeper); ok {
			sum = sum.Add(s.Survival(region))
		}
	}
	return sum
}

// putEach puts records one by one, putsAtOnce of them at a time.
func putEach(ctx context.Context, r Router, records []*ipns.Record) iter.Seq2[Ack, error] {
	return func(yield func(Ack, error) bool) {
		m := newMerge[Ack](ctx)
		defer m.stop()
		lines := min(putsAtOnce, len(records))
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

// putEvery puts every step-th record, one after the other. Nobody to put to ends
// it at once, any other error with the first that there was.
func putEvery(ctx context.Context, r Router, records []*ipns.Record, step int) iter.Seq2[Ack, error] {
	return func(yield func(Ack, error) bool) {
		var first error
		for i, alone := 0, false; i < len(records) && !alone; i += step {
			one, cancel := context.WithTimeout(ctx, putTimeout)
			acks := 0
			for ack, err := range r.Put(one, records[i], Look{}) {
				if err != nil {
					if alone = acks == 0 && nobody(err); first == nil || alone {
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

// nobody reports whether a put reached nobody, and the next one would not either.
func nobody(err error) bool { return errors.Is(err, ErrNoTargets) || errors.Is(err, ErrAway) }
