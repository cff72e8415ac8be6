package resolver

import "errors"

// Stats counts what a Resolver did since it was made.
type Stats struct {
	Cached   uint64 // name lookups answered from the cache, including stale ones
	Stale    uint64 // of those, answers after their TTL
	Searches uint64 // searches started

	// Results of searches. Found and Unconfirmed returned a record, which was confirmed
	// or only cached.
	Found, Unconfirmed, NotFound, Expired, Unknown, Failed uint64

	Names     int // names in the cache
	Searching int // running searches
}

// Stats returns the counts so far.
func (r *Resolver) Stats() Stats {
	r.start()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Names, s.Searching = len(r.cache.values), len(r.running)
	return s
}

// shown counts an answer from the cache.
func (s *Stats) shown(hop Hop) {
	s.Cached++
	if hop.Stale {
		s.Stale++
	}
}

// ended counts how a search ended.
func (s *Stats) ended(f *search) {
	var unknown *UnknownError
	switch {
	case f.err == nil && f.confirmed:
		s.Found++
	case f.err == nil:
		s.Unconfirmed++
	case errors.Is(f.err, ErrExpired):
		s.Expired++
	case errors.Is(f.err, ErrNotFound):
		s.NotFound++
	case errors.As(f.err, &unknown):
		s.Unknown++
	default:
		s.Failed++
	}
}
