package dht

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
)

// A server that has not answered a question after askPatience, or has not taken a
// record after putPatience, may still do so, but nothing waits for it any more:
// the next closest is asked, or given the record, in its place.
const (
	askPatience = 250 * time.Millisecond
	putPatience = 500 * time.Millisecond
)

// maxNodes bounds how many servers one walk looks at, whatever it is told.
const maxNodes = 2000

// A walk is the state of one lookup: the servers known near a target and what
// became of the questions to them. It decides and does nothing: it sends no
// message, reads no clock, and is for one goroutine.
type walk struct {
	target keyspace.Key
	byID   map[peer.ID]*node
	sorted []*node // closest to the target first
}

// node is one server in a walk.
type node struct {
	contact
	state nodeState
	asked time.Time // when it was asked for closer servers

	timedOut bool // it failed by saying nothing: it may be there

	put   putState
	putAt time.Time    // when it was given the record
	rec   *ipns.Record // in a search: what it answered with
}

type nodeState uint8

const (
	known    nodeState = iota // named by somebody
	asked                     // has the question
	answered                  // has answered it
	failed                    // will not answer
)

type putState uint8

const (
	notPut putState = iota
	putSent
	putTaken
	putRefused // it has a newer record
	putFailed
)

func newWalk(target keyspace.Key) *walk {
	return &walk{target: target, byID: make(map[peer.ID]*node)}
}

// hear adds a server unless it is known already.
func (w *walk) hear(c contact) {
	if w.byID[c.id] != nil || len(w.sorted) >= maxNodes {
		return
	}
	n := &node{contact: c}
	w.byID[c.id] = n
	at, _ := slices.BinarySearchFunc(w.sorted, n, func(a, b *node) int {
		return keyspace.Closer(w.target, a.key, b.key)
	})
	w.sorted = slices.Insert(w.sorted, at, n)
}

// straggles reports whether nothing waits for the node any more.
func (n *node) straggles(now time.Time) bool {
	return n.state == asked && now.Sub(n.asked) >= askPatience ||
		n.put == putSent && now.Sub(n.putAt) >= putPatience
}

// alive reports whether the node can be one of the walk's result.
func (n *node) alive(now time.Time) bool {
	return n.state != failed && n.put != putFailed && !n.straggles(now)
}

// live returns the n closest nodes that have not failed and do not straggle:
// those among which the walk's result will be, as far as is known.
func (w *walk) live(count int, now time.Time) []*node {
	var found []*node
	for _, n := range w.sorted {
		if len(found) == count {
			break
		}
		if n.alive(now) {
			found = append(found, n)
		}
	}
	return found
}

// next returns the nodes to ask now, so that no more than parallel questions
// are under way: the closest among the width live ones.
func (w *walk) next(width, parallel int, now time.Time) []*node {
	for _, n := range w.sorted {
		if n.state == asked && !n.straggles(now) {
			parallel--
		}
	}
	var ask []*node
	for _, n := range w.live(width, now) {
		if len(ask) >= parallel {
			break
		}
		if n.state == known {
			ask = append(ask, n)
		}
	}
	return ask
}

// converged reports whether the width closest live nodes have all answered:
// then nobody closer is known to anybody who would know.
func (w *walk) converged(width int, now time.Time) bool {
	for _, n := range w.live(width, now) {
		if n.state != answered {
			return false
		}
	}
	return true
}

// wakeAt returns when the next node begins to straggle.
func (w *walk) wakeAt(now time.Time) (at time.Time, ok bool) {
	consider := func(t time.Time) {
		if t.After(now) && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	for _, n := range w.sorted {
		if n.state == asked {
			consider(n.asked.Add(askPatience))
		}
		if n.put == putSent {
			consider(n.putAt.Add(putPatience))
		}
	}
	return at, ok
}

// distance is how far two keys are apart, as a share of the key space.
func distance(a, b keyspace.Key) float64 {
	d := keyspace.Distance(a, b)
	return math.Ldexp(float64(binary.BigEndian.Uint64(d[:8])), -64)
}
