package resolver

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// flight is the one search for a name that is going on. It is entered in
// Resolver.flights before the Book is read, and what the Book takes afterwards
// is offered to it: nothing can slip between the two.
//
// Resolver.mu guards all fields but name.
type flight struct {
	name ipns.Name
	best view
	// confirmed says that best is news of this flight, or the Book's own word;
	// without it best is only what the cache had.
	confirmed bool
	mark      recordstore.Mark // the highest version ever shown
	sources   map[string]bool  // who answered, and whether with best; at most maxSources
	wanted    Confidence       // the highest that anybody asked for
	taking    *ipns.Record     // what the Book is taking from this flight
	heard     bool             // a record was put on this node's server since the search began
	done      bool
	err       error         // why there is no answer; only when done
	changed   chan struct{} // closed at the next change
}

// wake tells those who wait for the flight. Call with Resolver.mu held.
func (f *flight) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// offer makes n the best if it is. Call with Resolver.mu held.
func (f *flight) offer(n view) {
	switch {
	case f.best.losesTo(&n):
		f.best.replace(n)
		for s := range f.sources {
			f.sources[s] = false
		}
	case f.best.saysSame(&n) && !f.confirmed:
		n.modified = f.best.modified
		f.best = n
	default:
		return
	}
	f.confirmed = true
	f.wake()
}

// count notes that a source holds best. Call with Resolver.mu held, after answered.
func (f *flight) count(a routing.Answer) {
	if f.best.agree == 0 && !f.best.own {
		f.best.source, f.best.network = a.Source, a.Network
	}
	if holds, counted := f.sources[a.Source]; counted && !holds {
		f.sources[a.Source] = true
		f.best.agree++
	}
	f.wake()
}

// answered notes that a source has answered: one that does so on two networks is
// still one. Call with Resolver.mu held.
func (f *flight) answered(source string) {
	if _, known := f.sources[source]; !known && len(f.sources) < maxSources {
		f.sources[source] = false
	}
}

// want notes that somebody wants that much. Call with Resolver.mu held.
func (f *flight) want(c Confidence) {
	if c == All || f.wanted != All && c > f.wanted {
		f.wanted = c
	}
}

// settled reports whether nothing is to be expected of those who have not answered
// yet: so many hold the best record, and nobody another one or none. Call with
// Resolver.mu held.
func (f *flight) settled() bool {
	agree := f.best.agree
	return f.wanted != All && agree >= max(agreement, int(f.wanted)) && agree == len(f.sources)
}

// lookup yields what is known of a name and what a search finds. Without stream
// it yields the one answer that is good enough, or the best when time is over.
func (r *Resolver) lookup(ctx context.Context, name ipns.Name, opt Options, stream bool) iter.Seq2[Hop, error] {
	return func(yield func(Hop, error) bool) {
		r.start()
		hop, f, err := r.join(name, opt)
		switch {
		case errors.Is(err, errOffline):
			yield(r.offline(ctx, name))
		case err != nil:
			yield(Hop{}, err)
		case hop.last:
			yield(hop, nil)
		case !stream || hop.Record == nil || yield(hop, nil):
			r.follow(ctx, f, opt.Confidence, stream, yield)
		}
	}
}

// join answers from the cache, as final if that is good enough, and returns the
// flight that searches otherwise. It begins one if there is none. errOffline
// says that the network is not to be asked.
func (r *Resolver) join(name ipns.Name, opt Options) (Hop, *flight, error) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if opt.Offline || r.Router == nil || r.closed {
		return Hop{}, nil, errOffline
	}
	var hop Hop
	known, ok := r.cache.get(name)
	if ok && !opt.NoCache {
		fresh := r.fresh(&known, now)
		if fresh && known.rec == nil {
			r.stats.Cached++
			return Hop{}, nil, known.err
		}
		if known.valid(now) {
			hop = known.hop(now)
			hop.Cached = true
			// A search that could not confirm it has just been made.
			if fresh && (known.reached(opt.Confidence) || known.stale) {
				hop.final, hop.last = true, true
				r.stats.shown(hop)
				return hop, nil, nil
			}
			hop.final = opt.Confidence == First && r.usable(&known, now)
			hop.last = hop.final
			if hop.final {
				r.stats.shown(hop)
			}
		}
	}
	f, err := r.depart(name, known)
	if err == nil {
		f.want(opt.Confidence)
	}
	if err != nil && hop.final {
		err = nil // the answer holds, though nobody will look for a newer one
	}
	return hop, f, err
}

// depart returns the flight for a name, and begins one if there is none. Call
// with mu held.
func (r *Resolver) depart(name ipns.Name, known view) (*flight, error) {
	if f := r.flights[name]; f != nil {
		return f, nil
	}
	limit := r.MaxSearches
	if limit <= 0 {
		limit = DefaultMaxSearches
	}
	if len(r.flights) >= limit {
		return nil, fmt.Errorf("could not resolve name: %s: %w", name, ErrBusy)
	}
	f := &flight{name: name, changed: make(chan struct{}), sources: map[string]bool{}}
	if known.rec != nil {
		f.best = known
		f.best.agree, f.best.answered, f.best.complete = 0, 0, false
	}
	r.flights[name] = f
	r.stats.Searches++
	r.wg.Go(func() { r.search(f) })
	return f, nil
}

// follow yields the answers of a flight.
func (r *Resolver) follow(ctx context.Context, f *flight, c Confidence, stream bool, yield func(Hop, error) bool) {
	var shown *ipns.Record
	for {
		hop, changed, err := r.look(f, c)
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
			yield(r.giveUp(ctx, f))
			return
		}
	}
}

// look returns what the flight has: final if that is what was asked for or
// nothing better will come, and no record if it is not confirmed yet.
func (r *Resolver) look(f *flight, c Confidence) (Hop, <-chan struct{}, error) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	valid := f.best.valid(now)
	f.best.answered = len(f.sources)
	switch {
	case f.done && valid, valid && f.confirmed && c != All && f.best.reached(c):
		hop := f.best.hop(now)
		hop.final, hop.last = true, true
		return hop, nil, nil
	case f.done && f.err != nil:
		return Hop{}, nil, f.err
	case f.done:
		return Hop{}, nil, expired(f.name, f.best.rec.Sequence(), f.best.rec.EOL())
	case valid && f.confirmed:
		return f.best.hop(now), f.changed, nil
	}
	return Hop{}, f.changed, nil
}

// giveUp returns the best so far if it was the time for the request that ended,
// and not the interest of the caller.
func (r *Resolver) giveUp(ctx context.Context, f *flight) (Hop, error) {
	if cause := context.Cause(ctx); !errors.Is(cause, errTimeout) {
		return Hop{}, cause
	}
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.best.valid(now) {
		f.best.answered = len(f.sources)
		hop := f.best.hop(now)
		hop.Stale = hop.Stale || !f.confirmed
		hop.last = true
		return hop, nil
	}
	return Hop{}, &UnknownError{Name: f.name, Asked: len(f.sources), Answered: len(f.sources), Err: context.DeadlineExceeded}
}

// search is the work of a flight.
func (r *Resolver) search(f *flight) {
	limit := r.SearchTimeout
	if limit <= 0 {
		limit = DefaultSearchTimeout
	}
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	held, mark, err := r.recall(ctx, f.name)
	if err != nil {
		r.land(f, err)
		return
	}
	now := r.now()
	r.mu.Lock()
	f.mark = mark
	switch {
	case held.rec == nil:
	case held.own || now.Before(held.until):
		f.offer(held)
	case f.best.losesTo(&held):
		f.best.replace(held) // better than nothing, should the search come to nothing
	}
	r.mu.Unlock()
	landed, err := r.searchOnce(ctx, f)
	if !landed && r.missed(f) {
		landed, err = r.searchOnce(ctx, f)
	}
	if !landed {
		r.land(f, err)
	}
}

// searchOnce searches and returns the error that ended it; landed says that the flight
// was over before.
func (r *Resolver) searchOnce(ctx context.Context, f *flight) (landed bool, err error) {
	for a, err := range r.Router.Search(ctx, f.name) {
		if err != nil {
			return false, err
		}
		r.hear(ctx, f, a)
		if r.landEarly(f) {
			return true, nil
		}
	}
	return false, nil
}

// landEarly ends a flight that is settled, and reports whether it did.
func (r *Resolver) landEarly(f *flight) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !f.settled() {
		return false
	}
	r.landed(f, nil, false)
	return true
}

// recall returns what the Book has of a name, and its mark. A record below the
// mark is not worth showing, and neither is one that does not verify.
func (r *Resolver) recall(ctx context.Context, name ipns.Name) (view, recordstore.Mark, error) {
	e, err := r.Book.Get(ctx, name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return view{}, recordstore.Mark{}, fmt.Errorf("could not resolve name: %s: %w", name, err)
	}
	mark, err := r.Book.Seen(ctx, name)
	if err != nil {
		return view{}, recordstore.Mark{}, fmt.Errorf("could not resolve name: %s: %w", name, err)
	}
	if e.Record == nil || recordstore.MarkOf(e.Record).Compare(mark) < 0 {
		return view{}, mark, nil
	}
	if e.Record, err = r.opener.Open(name, e.Record.Raw()); err != nil {
		return view{}, mark, nil
	}
	own, err := r.Book.Known(ctx, e)
	if err != nil {
		return view{}, recordstore.Mark{}, fmt.Errorf("could not resolve name: %s: %w", name, err)
	}
	return r.bookView(e, own && e.Origin == recordstore.Own), mark, nil
}

// bookView is the view of an entry. The Book's own names are as fresh as can be;
// of others somebody else may know better by now.
func (r *Resolver) bookView(e recordstore.Entry, own bool) view {
	at := e.Changed
	if own {
		at = r.now()
	}
	v := r.viewOf(e.Record, bookSource, "", at)
	v.modified, v.own = e.Changed, own
	return v
}

// hear takes one answer in. Only the flight's own goroutine calls it.
func (r *Resolver) hear(ctx context.Context, f *flight, a routing.Answer) {
	now := r.now()
	r.mu.Lock()
	if !a.Own { // nobody else has said so
		f.answered(a.Source)
	}
	mark, best := f.mark, f.best
	r.mu.Unlock()
	if a.Record == nil || a.Record.Expired(now) {
		return
	}
	n := r.viewOf(a.Record, a.Source, a.Network, now)
	switch {
	case best.losesTo(&n):
		// The mark is raised before anybody is shown the record. A Book that
		// cannot write now does not keep anybody from reading.
		r.setTaking(f, a.Record)
		defer r.setTaking(f, nil)
		outcome, err := r.Book.Take(ctx, a.Record, names.Entrance{Origin: recordstore.Seen})
		if outcome == names.Older || err != nil && recordstore.MarkOf(a.Record).Compare(mark) < 0 {
			return
		}
	case !best.saysSame(&n):
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f.offer(n)
	if f.best.saysSame(&n) { // or else the Book took a better one meanwhile
		f.count(a)
		r.refresh(f.name, f.best)
	}
}

func (r *Resolver) setTaking(f *flight, rec *ipns.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.taking = rec
}

// refresh puts a view where the cache has an older one: whoever asks from now on
// is not shown that any more. Call with mu held.
func (r *Resolver) refresh(name ipns.Name, v view) {
	if known, ok := r.cache.get(name); ok && (known.losesTo(&v) || known.saysSame(&v) && known.until.Before(v.until)) {
		known.replace(v)
		r.cache.put(name, known)
	}
}

// told is called by the Book for each change, before its Take returns.
func (r *Resolver) told(c names.Change) {
	if c.Entry.Record == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.flights[c.Entry.Name]
	if _, cached := r.cache.get(c.Entry.Name); f == nil && !cached {
		return // whoever asks will ask the Book
	}
	if f != nil && f.taking == c.Entry.Record {
		return // the flight knows, and from whom
	}
	v := r.bookView(c.Entry, c.Entry.Origin == recordstore.Own)
	if f != nil {
		f.offer(v)
	}
	r.refresh(c.Entry.Name, v)
}

// land ends a flight: what it found goes to the cache in the moment in which the
// flight is over.
func (r *Resolver) land(f *flight, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.landed(f, err, err == nil)
}

// landed is land, for a search that was complete or was not. Call with mu held.
func (r *Resolver) landed(f *flight, err error, complete bool) {
	now := r.now()
	f.done = true
	if f.best.valid(now) {
		f.best.answered, f.best.complete = len(f.sources), complete
		if !f.confirmed {
			f.best.stale = true
			f.best.until = now.Add(failedPause)
		}
		r.cache.put(f.name, f.best)
	} else {
		f.err = f.verdict(err, now)
		pause := failedPause
		if errors.Is(f.err, ErrNotFound) || errors.Is(f.err, ErrExpired) {
			pause = notFoundPause
		}
		if !f.heard { // or else somebody has a record by now
			r.cache.put(f.name, view{err: f.err, until: now.Add(pause)})
		}
	}
	r.stats.landed(f)
	delete(r.flights, f.name)
	f.wake()
}

// verdict says why a search that ended with err has no answer.
func (f *flight) verdict(err error, now time.Time) error {
	mark := f.mark
	if f.best.rec != nil && recordstore.MarkOf(f.best.rec).Compare(mark) > 0 {
		mark = recordstore.MarkOf(f.best.rec)
	}
	unknown := &UnknownError{Name: f.name, Asked: len(f.sources), Answered: len(f.sources)}
	var part *routing.IncompleteError
	switch {
	case errors.As(err, &part):
		unknown.Asked, unknown.Answered, unknown.Err = part.Asked, part.Answered, part.Err
	case errors.Is(err, routing.ErrNoTargets), errors.Is(err, routing.ErrAway), errors.Is(err, errOffline), errors.Is(err, context.DeadlineExceeded):
		unknown.Err = err
	case err != nil:
		return fmt.Errorf("could not resolve name: search for %s: %w", f.name, err)
	}
	switch {
	case !mark.IsZero() && !now.Before(mark.EOL):
		return expired(f.name, mark.Sequence, mark.EOL)
	case !mark.IsZero():
		unknown.Seen = &mark.Sequence
		return unknown
	case err != nil:
		return unknown
	}
	return fmt.Errorf("%w: nobody has a record of %s", ErrNotFound, f.name)
}

func expired(name ipns.Name, sequence uint64, eol time.Time) error {
	return fmt.Errorf("could not resolve name: %s: sequence %d: %w since %s", name, sequence, ErrExpired, eol.UTC().Format(time.RFC3339))
}

// offline answers from the Book and the cache alone.
func (r *Resolver) offline(ctx context.Context, name ipns.Name) (Hop, error) {
	held, mark, err := r.recall(ctx, name)
	if err != nil {
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
		f := flight{name: name, best: held, mark: mark}
		return Hop{}, f.verdict(errOffline, now)
	}
	hop := held.hop(now)
	hop.Cached, hop.final, hop.last = cached, true, true
	return hop, nil
}
