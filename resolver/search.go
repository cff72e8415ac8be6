package resolver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// search is the one running search for a name. It is added to Resolver.running
// before it reads the Book, and every record that the Book takes later is offered to
// it, so that no record can be missed in between.
//
// Resolver.mu guards all fields but name.
type search struct {
	name ipns.Name
	best result
	// confirmed says that best comes from this search or from the Book, and not
	// only from the cache.
	confirmed bool
	mark      recordstore.Mark           // the highest version ever shown
	sources   map[string]source          // those that answered; at most maxSources
	answers   [len(routing.Roads)]uint16 // of them, on each road
	wanted    Confidence                 // the highest confidence that a caller asked for
	taking    *ipns.Record               // the record that this search is passing to the Book
	arrived   bool                       // a record was put on this node's server since the search began
	done      bool
	err       error         // why there is no answer; set only when done
	changed   chan struct{} // closed at the next change
}

// wake wakes all callers that wait for the search. Call with Resolver.mu held.
func (s *search) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// offer makes n the best result if it is better. Call with Resolver.mu held.
func (s *search) offer(n result) {
	switch {
	case s.best.losesTo(&n):
		s.best.replace(n)
		for id, from := range s.sources {
			from.holds = false
			s.sources[id] = from
		}
	case s.best.saysSame(&n) && !s.confirmed:
		n.modified = s.best.modified
		s.best = n
	default:
		return
	}
	s.confirmed = true
	s.wake()
}

// want raises the wanted confidence to c. Call with Resolver.mu held.
func (s *search) want(c Confidence) {
	if c == All || s.wanted != All && c > s.wanted {
		s.wanted = c
	}
}

// startSearch returns the running search for a name, or starts one. Call with mu held.
func (r *Resolver) startSearch(name ipns.Name, known result) (*search, error) {
	if s := r.running[name]; s != nil {
		return s, nil
	}
	limit := r.MaxSearches
	if limit <= 0 {
		limit = DefaultMaxSearches
	}
	if len(r.running) >= limit {
		return nil, fmt.Errorf("could not resolve name: %s: %w", name, ErrBusy)
	}
	s := &search{name: name, changed: make(chan struct{}), sources: map[string]source{}}
	if known.rec != nil {
		s.best = known
		s.best.heard, s.best.complete = heard{measure: r.measure}, false
	}
	r.running[name] = s
	r.stats.Searches++
	r.wg.Go(func() { r.runSearch(s) })
	return s, nil
}

// runSearch runs a search to its end.
func (r *Resolver) runSearch(s *search) {
	limit := r.SearchTimeout
	if limit <= 0 {
		limit = DefaultSearchTimeout
	}
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	held, mark, err := r.recallSoon(ctx, s.name)
	if err != nil {
		r.endSearch(s, err)
		return
	}
	now := r.now()
	r.mu.Lock()
	s.mark = mark
	switch {
	case held.rec == nil:
	case held.own || now.Before(held.until):
		s.offer(held)
	case s.best.losesTo(&held):
		s.best.replace(held) // in case the search finds nothing
	}
	r.mu.Unlock()
	ended, err := r.searchOnce(ctx, s)
	if !ended && r.missed(s) {
		ended, err = r.searchOnce(ctx, s)
	}
	if !ended {
		r.endSearch(s, err)
	}
}

// searchOnce asks the Router once and returns its error. ended says that the search
// has already ended because it was settled.
func (r *Resolver) searchOnce(ctx context.Context, s *search) (ended bool, err error) {
	for a, err := range r.Router.Search(ctx, s.name) {
		if err != nil {
			return false, err
		}
		r.handleAnswer(ctx, s, a)
		if r.endIfSettled(s) {
			return true, nil
		}
	}
	return false, nil
}

// endIfSettled ends the search if it is settled, and reports whether it did.
func (r *Resolver) endIfSettled(s *search) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.settled() {
		return false
	}
	r.finish(s, nil, false)
	return true
}

// storeLimit bounds how long a search waits for a store of several daemons: it has other
// sources. One of this process alone is always waited for, since nothing else knows what was
// shown before.
const storeLimit = 2 * time.Second

// soon returns a context for asking the store in a search.
func (r *Resolver) soon(ctx context.Context) (context.Context, context.CancelFunc) {
	if !r.Book.Shared() {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, storeLimit)
}

// recallSoon is recall in a search. If the store of several daemons cannot be read in time, the search goes on
// without: the mark is then that of what this process has found since it last could write.
func (r *Resolver) recallSoon(ctx context.Context, name ipns.Name) (result, recordstore.Mark, error) {
	within, cancel := r.soon(ctx)
	defer cancel()
	held, mark, err := r.recall(within, name)
	if errors.Is(err, recordstore.ErrAway) || err != nil && within.Err() != nil && ctx.Err() == nil {
		return result{}, r.Book.Pending(name), nil
	}
	return held, mark, err
}

// recall returns the Book's record of a name and its mark. It ignores a record that
// is below the mark or does not verify.
func (r *Resolver) recall(ctx context.Context, name ipns.Name) (result, recordstore.Mark, error) {
	e, err := r.Book.Get(ctx, name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return result{}, recordstore.Mark{}, fmt.Errorf("could not resolve name: %s: %w", name, err)
	}
	mark, err := r.Book.Seen(ctx, name)
	if err != nil {
		return result{}, recordstore.Mark{}, fmt.Errorf("could not resolve name: %s: %w", name, err)
	}
	if e.Record == nil || recordstore.MarkOf(e.Record).Compare(mark) < 0 {
		return result{}, mark, nil
	}
	if e.Record, err = r.opener.Open(name, e.Record.Raw()); err != nil {
		return result{}, mark, nil
	}
	own, err := r.Book.Known(ctx, e)
	if err != nil {
		return result{}, recordstore.Mark{}, fmt.Errorf("could not resolve name: %s: %w", name, err)
	}
	return r.bookResult(e, own && e.Origin == recordstore.Own), mark, nil
}

// bookResult returns the result for an entry. An own name is always fresh; any other
// may have a newer record elsewhere by now.
func (r *Resolver) bookResult(e recordstore.Entry, own bool) result {
	at := e.Changed
	if own {
		at = r.now()
	}
	v := r.resultOf(e.Record, bookSource, "", at)
	v.modified, v.own = e.Changed, own
	return v
}

// handleAnswer processes one answer. Only the search's own goroutine calls it.
func (r *Resolver) handleAnswer(ctx context.Context, s *search, a routing.Answer) {
	now := r.now()
	r.mu.Lock()
	if !a.Own { // this node's own server does not count as a source
		s.answered(a)
	}
	mark, best := s.mark, s.best
	r.mu.Unlock()
	if a.Record == nil || a.Record.Expired(now) {
		return
	}
	n := r.resultOf(a.Record, a.Source, a.Network, now)
	switch {
	case best.losesTo(&n):
		// Raise the mark before showing the record to anyone. If the Book cannot
		// write now, the record is still shown.
		r.setTaking(s, a.Record)
		defer r.setTaking(s, nil)
		within, cancel := r.soon(ctx)
		outcome, err := r.Book.Take(within, a.Record, names.Entrance{Origin: recordstore.Seen})
		cancel()
		if outcome == names.Older || err != nil && recordstore.MarkOf(a.Record).Compare(mark) < 0 {
			return
		}
	case !best.saysSame(&n):
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.offer(n)
	if s.best.saysSame(&n) { // otherwise the Book took a better one meanwhile
		s.count(a)
		r.refresh(s.name, s.best)
	}
}

func (r *Resolver) setTaking(s *search, rec *ipns.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.taking = rec
}

// refresh replaces an older result in the cache, so that it is not shown any more.
// Call with mu held.
func (r *Resolver) refresh(name ipns.Name, v result) {
	if known, ok := r.cache.get(name); ok && (known.losesTo(&v) || known.saysSame(&v) && known.until.Before(v.until)) {
		known.replace(v)
		r.cache.put(name, known)
	}
}

// bookChanged is called by the Book on each change, before Take returns.
func (r *Resolver) bookChanged(c names.Change) {
	if c.Entry.Record == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.running[c.Entry.Name]
	if _, cached := r.cache.get(c.Entry.Name); s == nil && !cached {
		return // the next lookup reads the Book
	}
	if s != nil && s.taking == c.Entry.Record {
		return // handleAnswer adds it, with its source
	}
	v := r.bookResult(c.Entry, c.Entry.Origin == recordstore.Own)
	if s != nil {
		s.offer(v)
	}
	r.refresh(c.Entry.Name, v)
}

// endSearch ends a search and puts its result into the cache, in one step.
func (r *Resolver) endSearch(s *search, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finish(s, err, err == nil)
}

// finish ends a search. complete says that enough sources answered. Call with mu held.
func (r *Resolver) finish(s *search, err error, complete bool) {
	now := r.now()
	s.done = true
	if s.best.valid(now) {
		s.summed().complete = complete
		if !s.confirmed {
			s.best.stale = true
			s.best.until = now.Add(failedPause)
		}
		r.cache.put(s.name, s.best)
	} else {
		s.err = s.verdict(err, now)
		pause := failedPause
		if errors.Is(s.err, ErrNotFound) || errors.Is(s.err, ErrExpired) {
			pause = notFoundPause
		}
		if !s.arrived { // otherwise a record exists by now
			r.cache.put(s.name, result{err: s.err, until: now.Add(pause)})
		}
	}
	r.stats.ended(s)
	delete(r.running, s.name)
	s.wake()
}

// verdict returns the error of a search that ended with err and has no answer.
func (s *search) verdict(err error, now time.Time) error {
	mark := s.mark
	if s.best.rec != nil && recordstore.MarkOf(s.best.rec).Compare(mark) > 0 {
		mark = recordstore.MarkOf(s.best.rec)
	}
	unknown := &UnknownError{Name: s.name, Asked: len(s.sources), Answered: len(s.sources)}
	var part *routing.IncompleteError
	switch {
	case errors.As(err, &part):
		unknown.Asked, unknown.Answered, unknown.Err = part.Asked, part.Answered, part.Err
	case errors.Is(err, routing.ErrNoTargets), errors.Is(err, routing.ErrAway), errors.Is(err, errOffline), errors.Is(err, context.DeadlineExceeded):
		unknown.Err = err
	case err != nil:
		return fmt.Errorf("could not resolve name: search for %s: %w", s.name, err)
	}
	switch {
	case !mark.IsZero() && !now.Before(mark.EOL):
		return expired(s.name, mark.Sequence, mark.EOL)
	case !mark.IsZero():
		unknown.Seen = &mark.Sequence
		return unknown
	case err != nil:
		return unknown
	}
	return fmt.Errorf("%w: nobody has a record of %s", ErrNotFound, s.name)
}

func expired(name ipns.Name, sequence uint64, eol time.Time) error {
	return fmt.Errorf("could not resolve name: %s: sequence %d: %w since %s", name, sequence, ErrExpired, eol.UTC().Format(time.RFC3339))
}
