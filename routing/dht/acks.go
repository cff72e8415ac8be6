package dht

import (
	"slices"
	"time"

	"github.com/goipns/ipns/routing"
)

// acks makes Acks of the events of a put. Which servers are the closest 20 that
// live is known for sure only in the end. A server that takes the record while
// 20 that are known to live are closer is therefore not told of at once: if some
// of those turn out to be dead it counts, and if not it is extra.
type acks struct {
	put     *put
	yield   func(routing.Ack) bool
	counted int     // told of, and not extra
	held    []event // not told of yet
}

// add tells of what can be told after an event.
func (a *acks) add(e event) bool {
	now := time.Now()
	if e.kind == eventPut {
		if e.err != nil {
			return a.yield(a.ack(e, now))
		}
		a.held = append(a.held, e)
	}
	for i := 0; i < len(a.held); i++ {
		ack := a.ack(a.held[i], now)
		if a.counted >= ack.Of || a.put.rank(a.held[i].node, now) >= replicas {
			continue
		}
		a.counted++
		a.held = slices.Delete(a.held, i, i+1)
		i--
		if !a.yield(ack) {
			return false
		}
	}
	return true
}

// finish tells of those that turned out to be extra.
func (a *acks) finish() error {
	now := time.Now()
	for _, e := range a.held {
		ack := a.ack(e, now)
		ack.Extra = true
		if !a.yield(ack) {
			return errStopped
		}
	}
	return nil
}

// ack is the Ack of an event. When none of the servers is left that should have the
// value, the one that the event is about still counts.
func (a *acks) ack(e event, now time.Time) routing.Ack {
	return routing.Ack{
		Target: e.node.id.String(), Err: e.err, Newer: e.newer, Before: e.before, Clock: e.clock, RTT: e.rtt,
		Of: max(1, len(a.put.live(replicas, now))),
	}
}
