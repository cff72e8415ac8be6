package resolver

import (
	"time"

	"github.com/goipns/ipns"
)

// The Source of answers from the Book, and of those in Resolver.Static.
const (
	bookSource   = "book"
	staticSource = "static"
)

// result is what is known about a name at one moment: a record, or why there is
// none. The cache stores results, and a search improves one.
type result struct {
	rec   *ipns.Record
	data  [32]byte // DataHash of rec
	root  string   // the text of its name
	value string
	err   error // why there is no rec

	source, network string
	own             bool      // this node has the key and its newest record
	heard           heard     // sources of the last search
	complete        bool      // the last search ended with enough answers
	stale           bool      // the last search could not confirm the record
	until           time.Time // end of the TTL
	modified        time.Time // when this node first saw the value
}

// resultOf returns the result for a record that source returned at the given time.
func (r *Resolver) resultOf(rec *ipns.Record, source, network string, at time.Time) result {
	return result{
		rec: rec, data: rec.DataHash(), root: rec.Name().String(), value: rec.Value(),
		source: source, network: network, heard: heard{measure: r.measure},
		until: at.Add(r.cacheTime(rec, at)), modified: at,
	}
}

// cacheTime returns how long a record may be cached from now: its TTL, but not beyond
// its EOL.
func (r *Resolver) cacheTime(rec *ipns.Record, now time.Time) time.Duration {
	ttl := min(rec.TTL(), rec.EOL().Sub(now))
	if r.MaxCacheTTL > 0 {
		ttl = min(ttl, r.MaxCacheTTL)
	}
	return max(0, ttl)
}

// valid reports whether there is a record that is not expired.
func (v *result) valid(now time.Time) bool { return v.rec != nil && !v.rec.Expired(now) }

// saysSame reports whether both records have the same signed document.
func (v *result) saysSame(n *result) bool {
	return v.rec != nil && n.rec != nil && v.data == n.data
}

// losesTo reports whether n has the newer record.
func (v *result) losesTo(n *result) bool {
	return v.rec == nil || !v.saysSame(n) && ipns.Compare(v.rec, n.rec) < 0
}

// replace sets the result to n. An unchanged value keeps the time when it was first
// seen.
func (v *result) replace(n result) {
	if v.rec != nil && v.value == n.value {
		n.modified = v.modified
	}
	*v = n
}

// fresh reports whether the result needs no search.
func (r *Resolver) fresh(v *result, now time.Time) bool {
	if !now.Before(v.until) {
		return false
	}
	// After an unsuccessful search there is always a pause.
	return v.rec == nil || v.stale || r.MaxCacheTTL >= 0
}

// usable reports whether the result, though not fresh, may be shown at once while a
// search runs.
func (r *Resolver) usable(v *result, now time.Time) bool {
	most := r.MaxStale
	if most == 0 {
		most = DefaultMaxStale
	}
	if !v.valid(now) || v.own || r.MaxCacheTTL < 0 {
		return false // the Book answers for own names at once, and no cache means nothing stale
	}
	return now.Before(v.until.Add(min(most, r.cacheTime(v.rec, v.until))))
}

// reached reports whether the result has the confidence c.
func (v *result) reached(c Confidence) bool {
	switch {
	case c == First:
		return true
	case c > 0:
		return v.heard.agree() >= int(c)
	}
	return v.complete
}

// hop returns the Hop for a result that has a record.
func (v *result) hop(now time.Time) Hop {
	h := Hop{
		Root: v.root, Value: v.value, TTL: max(0, v.until.Sub(now)),
		Source: v.source, Network: v.network,
		Record: v.rec, Sequence: v.rec.Sequence(), EOL: v.rec.EOL(),
		Agree: v.heard.agree(), Answered: v.heard.answered(), Complete: v.complete, Stale: v.stale || !now.Before(v.until) && v.rec.TTL() > 0,
		ttlKnown: true, modified: v.modified, heard: v.heard,
	}
	if h.Stale {
		h.TTL = 0
	}
	return h
}
