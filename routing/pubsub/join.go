package pubsub

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
)

// join says that a peer began to listen to the topic of a name.
type join struct {
	name ipns.Name
	peer peer.ID
}

// coldName is a cold name that somebody began to listen to.
type coldName struct {
	at    time.Time // when it was last published for that
	again bool      // it is to be published once more: somebody else came, or one was missed
	tries int
}

// begins notes that a peer began to listen to a topic. It does not block. The queue is
// bounded by what the audience counts.
func (r *Router) begins(name ipns.Name, p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.joins) >= MaxTopics {
		return
	}
	r.joins = append(r.joins, join{name, p})
	r.signalJoins()
}

// signalJoins lets a joiner look for work. Call with mu held.
func (r *Router) signalJoins() {
	select {
	case r.joined <- struct{}{}:
	default:
	}
}

// nextJoin returns the oldest join that nobody looks after.
func (r *Router) nextJoin() (join, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.joins) == 0 {
		r.joins = nil // its room, too
		return join{}, false
	}
	j := r.joins[0]
	r.joins = r.joins[1:]
	if len(r.joins) > 0 {
		r.signalJoins() // for the next joiner
	}
	return j, true
}

// lookAfterJoins gives those who join what they lack and takes what they have, until
// Close.
func (r *Router) lookAfterJoins() {
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.joined:
		}
		for j, ok := r.nextJoin(); ok && r.ctx.Err() == nil; j, ok = r.nextJoin() {
			if t := r.topic(j.name); t != nil && j.peer != "" {
				// It fetches from this node what it lacks.
				if rec, err := r.fetch(r.ctx, j.peer, j.name); err == nil && rec != nil {
					r.fetched(r.ctx, t, rec)
				}
			} else if t == nil {
				r.showCold(j)
			}
		}
	}
}

// showCold publishes the record of a cold name for one who has begun to listen, soon
// after if it was published just now.
func (r *Router) showCold(j join) {
	rec, err := r.held(r.ctx, j.name)
	if err != nil || rec == nil {
		return
	}
	now := r.c.Now()
	r.mu.Lock()
	c := r.cold[j.name]
	if c == nil {
		c = &coldName{}
		r.cold[j.name] = c
	}
	if j.peer != "" {
		c.tries = 0
	}
	if now.Sub(c.at) < coldPause {
		c.again = true
		r.mu.Unlock()
		return
	}
	c.at, c.again = now, false
	c.tries++
	r.mu.Unlock()
	missed := false
	for to, err := range r.deliver(r.ctx, rec, r.audience.of(j.name)) {
		missed = missed || err != nil || to.err != nil
	}
	if missed {
		r.mu.Lock()
		c.again = c.again || c.tries < coldTries
		r.mu.Unlock()
	}
}

// announceCold queues the cold names that are to be published again, and forgets those
// that were published a while ago.
func (r *Router) announceCold(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, c := range r.cold {
		switch {
		case now.Sub(c.at) < coldPause:
		case c.again:
			c.again = false
			r.joins = append(r.joins, join{name: name})
			r.signalJoins()
		default:
			delete(r.cold, name)
		}
	}
}
