package routing

import (
	"context"
	"errors"
	"iter"

	"github.com/goipns/ipns"
)

// Parallel asks all its Routers at once and yields Acks and Answers as they come. A
// Router that fails never hides the results of another: its error becomes part of the
// final one.
//
// The errors of a put are joined. ErrNoTargets counts only if all Routers return it,
// ErrAway always. A search that was not complete on all Routers ends with an
// *IncompleteError that sums them up, or, if it was complete on none, with their errors
// joined. So a network that is away makes the whole search incomplete; one that was never
// expected does not.
type Parallel []Router

// Road implements Roader.
func (p Parallel) Road() Road { return firstRoad(p) }

// Put implements Router.
func (p Parallel) Put(ctx context.Context, rec *ipns.Record, look Look) iter.Seq2[Ack, error] {
	return func(yield func(Ack, error) bool) {
		m := newMerge[Ack](ctx)
		defer m.stop()
		for _, r := range p {
			m.add(r.Put(m.ctx, rec, look))
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

// Search implements Router.
func (p Parallel) Search(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		m := newMerge[Answer](ctx)
		defer m.stop()
		for _, r := range p {
			m.add(r.Search(m.ctx, name))
		}
		answers := 0
		counted := func(a Answer, err error) bool {
			if !a.Own {
				answers++
			}
			return yield(a, err)
		}
		var ended []error
		for range p {
			end, ok := m.pass(counted)
			if !ok {
				return
			}
			ended = append(ended, end.err)
		}
		if err := m.ended(searchError(ended, answers)); err != nil {
			yield(Answer{}, err)
		}
	}
}

// Watch implements Watcher with all Routers that do.
func (p Parallel) Watch(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		m := newMerge[Answer](ctx)
		defer m.stop()
		watching := 0
		for _, r := range p {
			if w, ok := r.(Watcher); ok {
				m.add(w.Watch(m.ctx, name))
				watching++
			}
		}
		var errs []error
		for range watching {
			end, ok := m.pass(yield)
			if !ok {
				return
			}
			errs = append(errs, end.err)
		}
		if err := m.ended(errors.Join(errs...)); err != nil {
			yield(Answer{}, err)
		}
	}
}

// putError combines the errors, nil included, with which several puts ended.
func putError(ended []error) error {
	var failed []error
	nobody := 0
	for _, err := range ended {
		switch {
		case errors.Is(err, ErrNoTargets):
			nobody++
		case err != nil:
			failed = append(failed, err)
		}
	}
	if nobody == len(ended) {
		return ErrNoTargets
	}
	return errors.Join(failed...)
}

// searchError combines the errors, nil included, with which several searches ended.
// answers is how many sources answered in all.
func searchError(ended []error, answers int) error {
	var failed, unwrapped []error
	sum := IncompleteError{Asked: answers, Answered: answers}
	nobody, done, incomplete := 0, 0, 0
	for _, err := range ended {
		var part *IncompleteError
		switch {
		case err == nil:
			done++
		case errors.Is(err, ErrNoTargets):
			nobody++
		case errors.As(err, &part):
			incomplete++
			unwrapped = append(unwrapped, part.Err)
			// The answers themselves are already counted.
			sum.Asked += max(0, part.Asked-part.Answered)
		default:
			failed = append(failed, err)
		}
	}
	switch {
	case nobody == len(ended):
		return ErrNoTargets
	case incomplete == 0 && len(failed) == 0:
		return nil
	case incomplete == 0 && done == 0:
		return errors.Join(failed...)
	}
	for _, err := range failed {
		if !errors.Is(err, ErrAway) {
			sum.Asked++ // a failed Router is a source that did not answer
		}
	}
	sum.Err = errors.Join(append(failed, unwrapped...)...)
	return &sum
}
