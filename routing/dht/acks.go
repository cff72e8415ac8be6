package dht

import (
	"slices"
	"time"

	"github.com/goipns/ipns/routing"
)

// acks turns the events of a put into Acks. Which servers are the closest 20 live ones
// is certain only at the end. If a server takes the record while 20 proven servers are
// closer, its Ack is held back: it counts if some of those turn out to be dead, and is
// extra otherwise.
type acks struct {
	put     *put
	yield   func(routing.Ack) bool
	counted int     // acks yielded that are not extra
	held    []event // events whose acks are held back
}

// add processes an event and yields the acks that are certain now.
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

// finish yields the acks that turned out to be extra.
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

// ack returns the Ack for an event.
func (a *acks) ack(e event, now time.Time) routing.Ack {
	return routing.Ack{
		Target: e.node.id.String(), Err: e.err, Newer: e.newer, Before: e.before, Clock: e.clock, RTT: e.rtt,
		Of: a.put.r.shouldHold(len(a.put.live(replicas, now)), now),
	}
}
