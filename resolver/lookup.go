package resolver

import (
	"context"
	"errors"
	"iter"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// lookup yields what is known about a name and what a search finds. Without stream
// it yields one answer: the first that is good enough, or the best at the timeout.
func (r *Resolver) lookup(ctx context.Context, name ipns.Name, opt Options, stream bool) iter.Seq2[Hop, error] {
	return func(yield func(Hop, error) bool) {
		r.start()
		known, err := r.join(name, opt)
		r.answer(ctx, name, known, err, opt.Confidence, stream, yield)
	}
}

// joined is what is known at the beginning of a lookup, and the search for more.
type joined struct {
	hop    Hop
	search *search // nil if hop is the last
}

// answer yields what join returned, and what the search finds.
func (r *Resolver) answer(ctx context.Context, name ipns.Name, known joined, err error, c Confidence, stream bool, yield func(Hop, error) bool) {
	switch {
	case errors.Is(err, errOffline):
		yield(r.offline(ctx, name))
	case err != nil:
		yield(Hop{}, err)
	case known.hop.last:
		yield(known.hop, nil)
	case !stream || known.hop.Record == nil || yield(known.hop, nil):
		r.follow(ctx, known.search, c, stream, yield)
	}
}

// join answers from the cache, marked final if that is good enough. Otherwise it
// also returns the search for the name, and starts one if none is running.
// errOffline says that the network must not be asked.
func (r *Resolver) join(name ipns.Name, opt Options) (joined, error) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if opt.Offline || r.Router == nil || r.closed {
		return joined{}, errOffline
	}
	var hop Hop
	known, ok := r.cache.get(name)
	if ok && !opt.NoCache {
		fresh := r.fresh(&known, now)
		if fresh && known.rec == nil && !opt.Again {
			r.stats.Cached++
			return joined{}, known.err
		}
		if known.valid(now) {
			hop = known.hop(now)
			hop.Cached = true
			// stale: a search has just failed to confirm it.
			if fresh && (known.reached(opt.Confidence) || known.stale) {
				hop.final, hop.last = true, true
				r.stats.shown(hop)
				return joined{hop: hop}, nil
			}
			hop.final = opt.Confidence == First && r.usable(&known, now)
			hop.last = hop.final
			if hop.final {
				r.stats.shown(hop)
			}
		}
	}
	s, err := r.startSearch(name, known)
	if err == nil {
		s.want(opt.Confidence)
	}
	if err != nil && hop.final {
		err = nil // the answer is good, though no search for a newer one starts
	}
	return joined{hop, s}, err
}

// follow yields the answers of a search until one is final.
func (r *Resolver) follow(ctx context.Context, s *search, c Confidence, stream bool, yield func(Hop, error) bool) {
	var shown *ipns.Record
	for {
		hop, changed, err := r.answerOf(s, c)
		if err != nil || hop.last {
			yield(hop, err)
			return
		}
		if stream && hop.Record != nil && hop.Record != shown {
			shown = hop.Record
			if !yield(hop, nil) {
				return
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			yield(r.giveUp(ctx, s))
			return
		}
	}
}

// answerOf returns the current answer of the search. It is final if the confidence is
// reached or the search has ended, and has no record if best is not confirmed yet.
func (r *Resolver) answerOf(s *search, c Confidence) (Hop, <-chan struct{}, error) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	valid := s.best.valid(now)
	s.summed()
	switch {
	case s.done && valid, valid && s.confirmed && c != All && s.best.reached(c):
		hop := s.best.hop(now)
		hop.final, hop.last = true, true
		return hop, nil, nil
	case s.done && s.err != nil:
		return Hop{}, nil, s.err
	case s.done:
		return Hop{}, nil, expired(s.name, s.best.rec.Sequence(), s.best.rec.EOL())
	case valid && s.confirmed:
		return s.best.hop(now), s.changed, nil
	}
	return Hop{}, s.changed, nil
}

// giveUp returns the best answer so far if the request timed out, and an error if
// the caller cancelled it.
func (r *Resolver) giveUp(ctx context.Context, s *search) (Hop, error) {
	if cause := context.Cause(ctx); !errors.Is(cause, errTimeout) {
		return Hop{}, cause
	}
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.best.valid(now) {
		hop := s.summed().hop(now)
		hop.Stale = hop.Stale || !s.confirmed
		hop.last = true
		return hop, nil
	}
	return Hop{}, &UnknownError{Name: s.name, Asked: len(s.sources), Answered: len(s.sources), Err: context.DeadlineExceeded}
}

// offline answers from the Book and the cache alone.
func (r *Resolver) offline(ctx context.Context, name ipns.Name) (Hop, error) {
	held, mark, err := r.recall(ctx, name)
	if err != nil && !errors.Is(err, recordstore.ErrAway) {
		return Hop{}, err
	}
	now := r.now()
	r.mu.Lock()
	known, ok := r.cache.get(name)
	r.mu.Unlock()
	cached := ok && known.rec != nil && held.losesTo(&known)
	if cached {
		held = known
	}
	if !held.valid(now) {
		if err != nil {
			return Hop{}, err
		}
		s := search{name: name, best: held, mark: mark}
		return Hop{}, s.verdict(errOffline, now)
	}
	hop := held.hop(now)
	hop.Cached, hop.final, hop.last = cached, true, true
	return hop, nil
}
