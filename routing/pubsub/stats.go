package pubsub

import "sync/atomic"

// Stats are figures of a Router, since it was made where they count something.
type Stats struct {
	Subscriptions int // hot names
	Topics, Peers int // that are known of others: topics, and peers that listen to some

	Sent    uint64 // messages to peers, each peer counted
	Dropped uint64 // that a peer did not get, its queue being full

	Taken    uint64 // better records that came in
	Repeated uint64 // records that came in and are not better
	Late     uint64 // records that came in expired, and not long ago
	Invalid  uint64 // messages and answers that are no records

	TooMany uint64 // subscriptions that are not counted: too many, or to no name

	Fetched uint64 // answers of peers
	Served  uint64 // fetches that were answered with a record
	Missed  uint64 // and those for which there was none
	Refused uint64 // fetches that were not answered: too many, or malformed
}

type counts struct {
	sent, dropped, taken, repeated, late, invalid, tooMany, fetched, served, missed, refused atomic.Uint64
}

// Stats returns the figures.
func (r *Router) Stats() Stats {
	r.mu.Lock()
	hot := len(r.topics)
	r.mu.Unlock()
	topics, peers := r.audience.size()
	c := &r.counts
	return Stats{
		Subscriptions: hot, Topics: topics, Peers: peers,
		Sent: c.sent.Load(), Dropped: c.dropped.Load(),
		Taken: c.taken.Load(), Repeated: c.repeated.Load(), Late: c.late.Load(), Invalid: c.invalid.Load(),
		TooMany: c.tooMany.Load(),
		Fetched: c.fetched.Load(), Served: c.served.Load(), Missed: c.missed.Load(), Refused: c.refused.Load(),
	}
}
