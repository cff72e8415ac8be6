package resolver

import (
	"time"

	"github.com/goipns/ipns"
)

// bookSource is the Source of what this node vouches for.
const bookSource = "book"

// view is what is known of a name at one moment: a record, or why there is
// none. The cache keeps views, and a flight improves one.
type view struct {
	rec   *ipns.Record
	data  [32]byte // DataHash of rec
	root  string   // the text of its name
	value string
	err   error // why there is no rec

	source, network string
	own             bool      // the key is here, and so is its newest record
	agree           int       // sources of the last search that hold the record
	answered        int       // sources of the last search that answered
	complete        bool      // the last search ended with enough answers
	stale           bool      // the last search could not confirm the record
	until           time.Time // confirmed until then: the end of the TTL
	modified        time.Time // when its value was first seen here
}

// viewOf makes the view of a record that source says is the newest, at the
// given time.
func (r *Resolver) viewOf(rec *ipns.Record, source, network string, at time.Time) view {
	return view{
		rec: rec, data: rec.DataHash(), root: rec.Name().String(), value: rec.Value(),
		source: source, network: network,
		until: at.Add(r.lifetime(rec, at)), modified: at,
	}
}

// lifetime is for how long a record may be kept from now on: its TTL, never
// beyond its EOL.
func (r *Resolver) lifetime(rec *ipns.Record, now time.Time) time.Duration {
	ttl := min(rec.TTL(), rec.EOL().Sub(now))
	if r.MaxCacheTTL > 0 {
		ttl = min(ttl, r.MaxCacheTTL)
	}
	return max(0, ttl)
}

// valid reports whether there is a record that can be shown now.
func (v *view) valid(now time.Time) bool { return v.rec != nil && !v.rec.Expired(now) }

// saysSame reports whether both have the same signed document.
func (v *view) saysSame(n *view) bool {
	return v.rec != nil && n.rec != nil && v.data == n.data
}

// losesTo reports whether n has the newer record.
func (v *view) losesTo(n *view) bool {
	return v.rec == nil || !v.saysSame(n) && ipns.Compare(v.rec, n.rec) < 0
}

// replace makes n the view. A value that did not change keeps the time when it
// was first seen.
func (v *view) replace(n view) {
	if v.rec != nil && v.value == n.value {
		n.modified = v.modified
	}
	*v = n
}

// fresh reports whether the view needs no search.
func (r *Resolver) fresh(v *view, now time.Time) bool {
	if !now.Before(v.until) {
		return false
	}
	// After a search that came to nothing there is a pause in any case.
	return v.rec == nil || v.stale || r.MaxCacheTTL >= 0
}

// usable reports whether the view, though not fresh, may be shown at once while
// the network is asked.
func (r *Resolver) usable(v *view, now time.Time) bool {
	most := r.MaxStale
	if most == 0 {
		most = DefaultMaxStale
	}
	if !v.valid(now) || v.own || r.MaxCacheTTL < 0 {
		return false // the Book answers at once for its own, and nothing is stale
	}
	return now.Before(v.until.Add(min(most, r.lifetime(v.rec, v.until))))
}

// reached reports whether the view is what was asked for.
func (v *view) reached(c Confidence) bool {
	switch {
	case c == First:
		return true
	case c > 0:
		return v.agree >= int(c)
	}
	return v.complete
}

// hop makes the answer out of a view that has a record.
func (v *view) hop(now time.Time) Hop {
	h := Hop{
		Root: v.root, Value: v.value, TTL: max(0, v.until.Sub(now)),
		Source: v.source, Network: v.network,
		Record: v.rec, Sequence: v.rec.Sequence(), EOL: v.rec.EOL(),
		Agree: v.agree, Answered: v.answered, Complete: v.complete, Stale: v.stale || !now.Before(v.until) && v.rec.TTL() > 0,
		ttlKnown: true, modified: v.modified,
	}
	if h.Stale {
		h.TTL = 0
	}
	return h
}
