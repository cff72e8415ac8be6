package routing

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/goipns/ipns"
)

// findTimeout bounds the search for one name by a Router that is not an Asker.
const findTimeout = putTimeout

// Asker is implemented by a Router that can ask for many names of one region with
// one visit to each server.
type Asker interface {
	// Ask asks the servers closest to each name: as many as closest says, or, if that is
	// 0, all that should hold its record. The names must lie in the region, in the order
	// of their Kademlia ids. Ask yields one Finding for each; if it cannot go on, it
	// yields an error last, and nothing is known about names without a Finding.
	Ask(ctx context.Context, region Region, names iter.Seq[ipns.Name], closest int) iter.Seq2[Finding, error]
}

// Finding is what a network has for one name.
type Finding struct {
	Name    ipns.Name
	Record  *ipns.Record // the newest found; nil: no server that answered has one
	Answers int          // how many servers answered
	// Err is the error with which a Search would have ended; nil: the search was
	// complete.
	Err error
}

// take adds a record to the finding.
func (f *Finding) take(rec *ipns.Record) {
	if rec != nil && (f.Record == nil || ipns.Compare(rec, f.Record) > 0) {
		f.Record = rec
	}
}

// Find searches for one name to the end.
func Find(ctx context.Context, r Router, name ipns.Name) Finding {
	f := Finding{Name: name}
	for a, err := range r.Search(ctx, name) {
		if err != nil {
			f.Err = err
			break
		}
		if !a.Own {
			f.Answers++
		}
		f.take(a.Record)
	}
	if f.Err == nil {
		f.Err = ctx.Err()
	}
	return f
}

// FindEach searches for names, several at a time. If a network has no server to ask, it
// stops at once, since no other name would fare better.
func FindEach(ctx context.Context, r Router, names iter.Seq[ipns.Name]) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		list := slices.Collect(names)
		m := newMerge[Finding](ctx)
		defer m.stop()
		lines := min(maxConcurrentPuts, len(list))
		for first := range lines {
			m.add(findEvery(m.ctx, r, list[first:], lines))
		}
		var ended error
		for range lines {
			end, ok := m.pass(yield)
			if !ok {
				return
			}
			if ended == nil {
				ended = end.err
			}
		}
		if err := m.ended(ended); err != nil {
			yield(Finding{}, err)
		}
	}
}

// findEvery searches for every step-th name, one after the other.
func findEvery(ctx context.Context, r Router, list []ipns.Name, step int) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		for i := 0; i < len(list); i += step {
			one, cancel := context.WithTimeout(ctx, findTimeout)
			f := Find(one, r, list[i])
			cancel()
			if f.Answers == 0 && reachedNobody(f.Err) || ctx.Err() != nil {
				yield(Finding{}, f.Err)
				return
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

// Ask implements Asker. Routers that are not Askers search for one name after the other. A
// Finding is complete if it is on every Router, as in Search.
func (p Parallel) Ask(ctx context.Context, region Region, names iter.Seq[ipns.Name], closest int) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		list := slices.Collect(names)
		m := newMerge[part](ctx)
		defer m.stop()
		for i, r := range p {
			if a, ok := r.(Asker); ok {
				m.add(partOf(i, a.Ask(m.ctx, region, slices.Values(list), closest)))
			} else {
				m.add(partOf(i, FindEach(m.ctx, r, slices.Values(list))))
			}
		}
		sums := make(map[ipns.Name]*partial, len(list))
		for _, name := range list {
			sums[name] = &partial{Finding: Finding{Name: name}, told: make([]error, len(p))}
			for i := range p {
				sums[name].told[i] = errUntold
			}
		}
		ended := make([]error, len(p))
		for range p {
			_, ok := m.pass(func(f part, _ error) bool {
				if f.end {
					ended[f.router] = f.Err
				} else if sum := sums[f.Name]; sum != nil {
					sum.Answers += f.Answers
					sum.take(f.Record)
					sum.told[f.router] = f.Err
				}
				return true
			})
			if !ok {
				return
			}
		}
		if err := m.ended(nil); err != nil {
			yield(Finding{}, err)
			return
		}
		for _, name := range list {
			if !yield(sums[name].fold(ended), nil) {
				return
			}
		}
	}
}

// errUntold stands for a Router that has yielded no Finding for a name.
var errUntold = errors.New("not asked")

// part is a finding of one of several Routers, or the end of a Router, with its Err.
type part struct {
	Finding
	router int
	end    bool
}

// partOf marks the findings of a Router, and yields its end as the last one.
func partOf(router int, findings iter.Seq2[Finding, error]) iter.Seq2[part, error] {
	return func(yield func(part, error) bool) {
		end := part{router: router, end: true}
		for f, err := range findings {
			if err != nil {
				end.Err = err
				break
			}
			if !yield(part{Finding: f, router: router}, nil) {
				return
			}
		}
		yield(end, nil)
	}
}

// partial is what is known about a name so far.
type partial struct {
	Finding
	told []error // per Router
}

// fold sums up the findings about the name and the errors with which Routers ended.
func (s *partial) fold(ended []error) Finding {
	for i, err := range s.told {
		if err != errUntold {
			continue
		}
		if s.told[i] = ended[i]; ended[i] == nil {
			s.told[i] = &IncompleteError{Asked: 1, Err: errUntold}
		}
	}
	s.Err = searchError(s.told, s.Answers)
	return s.Finding
}
