package dht

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
)

// A server that has not answered a query within askPatience, or not taken a record
// within putPatience, is late. It may still answer, but the walk no longer waits:
// it turns to the next closest server instead.
const (
	askPatience = 250 * time.Millisecond
	putPatience = 400 * time.Millisecond
)

const (
	// maxNodes bounds how many servers one walk tracks at a time, and how many it
	// queries, whatever the answers contain.
	maxNodes = 2000

	// paths is the number of disjoint paths of a walk.
	paths = 4

	// maxPerGroup is how many servers of one IP group count among the closest.
	// Other clients may query no more than that of one group.
	maxPerGroup = 3

	// The closest 20 servers are too dense to be there by chance if they lie within
	// denseShare of the radius that should hold 20; in an honest network that
	// happens for one name in 20,000. The walk then also considers all servers
	// within denseReach radii (the size estimate is inexact, and includes dead
	// servers), but at most maxDense of them.
	denseShare = 0.35
	denseReach = 1.4
	maxDense   = 80
)

// A walk is the state of one lookup: the known servers near a target and the status
// of the queries to them. It only makes decisions: it sends no messages and reads no
// clock. It is for use by one goroutine.
//
// Servers may lie. A liar can name any number of nonexistent servers close to the
// target, so the walk follows several paths at once and such servers delay only the
// liar's own path. Attackers can also place many servers around a target to become
// the closest to it, so a walk that knows the size of the network looks beyond the
// closest servers where these are too dense to be there by chance.
type walk struct {
	target keyspace.Key
	radius float64 // distance that should hold 20 servers, as a share of the key space; 0: unknown
	byID   map[peer.ID]*node
	sorted []*node // closest to the target first
	asks   int     // nodes returned by next so far
}

// node is one server in a walk.
type node struct {
	contact
	path  uint8 // the path that found it first
	state nodeState
	asked time.Time // when the query was sent

	timedOut bool // it failed by not answering, so it may still be alive

	put   putState
	putAt time.Time    // when the record was sent
	rec   *ipns.Record // in a search: the record in its answer
}

type nodeState uint8

const (
	known nodeState = iota // not queried yet
	asked                  // query in flight
	answered
	failed
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

// add adds a server found on a path, unless it is already known. If the walk is
// full it replaces a farther server.
func (w *walk) add(c contact, path uint8) {
	if w.byID[c.id] != nil {
		return
	}
	n := &node{contact: c, path: path}
	if len(w.sorted) >= maxNodes && !w.makeRoom(n) {
		return
	}
	w.byID[c.id] = n
	at, _ := slices.BinarySearchFunc(w.sorted, n, func(a, b *node) int {
		return keyspace.Closer(w.target, a.key, b.key)
	})
	w.sorted = slices.Insert(w.sorted, at, n)
}

// makeRoom removes the farthest node that has neither been queried nor answered
// before, so that made-up servers cannot push out real ones; if there is none, it
// removes the farthest node. It does so, and returns true, only if that node is
// farther than n.
func (w *walk) makeRoom(n *node) bool {
	last := len(w.sorted) - 1
	for at, other := range slices.Backward(w.sorted) {
		if other.state == known && !other.alive && other.put == notPut {
			last = at
			break
		}
	}
	if keyspace.Closer(w.target, w.sorted[last].key, n.key) < 0 {
		return false
	}
	delete(w.byID, w.sorted[last].id)
	w.sorted = slices.Delete(w.sorted, last, last+1)
	return true
}

// late reports whether the walk no longer waits for the node.
func (n *node) late(now time.Time) bool {
	return n.state == asked && now.Sub(n.asked) >= askPatience ||
		n.put == putSent && now.Sub(n.putAt) >= putPatience
}

// counts reports whether the node can be part of the walk's result.
func (n *node) counts(now time.Time) bool {
	return n.state != failed && n.put != putFailed && !n.late(now)
}

// proven reports whether the node has answered and has not failed since.
func (n *node) proven() bool {
	return n.alive || n.state == answered || n.put == putTaken
}

// live returns the closest count nodes that have neither failed nor are late: the
// candidates for the walk's result. Nodes beyond maxPerGroup of one IP group are
// included but not counted.
func (w *walk) live(count int, now time.Time) []*node {
	var found []*node
	groups := make(map[netip.Prefix]int)
	for _, n := range w.sorted {
		if count == 0 || len(found) == 2*replicas+count {
			break
		}
		if !n.counts(now) {
			continue
		}
		found = append(found, n)
		if groups[n.group]++; n.group.IsValid() && groups[n.group] > maxPerGroup {
			continue
		}
		count--
	}
	return found
}

// dense reports whether the closest 20 nodes that have answered are closer to the
// target than chance explains.
func (w *walk) dense() bool {
	count := 0
	for _, n := range w.sorted {
		if n.state == answered || n.put == putTaken {
			count++
		}
		if count == replicas {
			return distance(w.target, n.key) < denseShare*w.radius
		}
	}
	return false
}

// wanted returns the live nodes and, if the closest ones are too dense, all others
// within the radius as well. Of these the farthest come first, because attackers
// want to be close.
func (w *walk) wanted(count int, now time.Time) []*node {
	nodes := w.live(count, now)
	if !w.dense() {
		return nodes
	}
	within := slices.DeleteFunc(slices.Clone(w.sorted), func(n *node) bool {
		return !n.counts(now) || distance(w.target, n.key) > denseReach*w.radius || slices.Contains(nodes, n)
	})
	slices.Reverse(within)
	return append(nodes, within[:min(len(within), maxDense)]...)
}

// next returns the nodes to query now, so that at most parallel queries are in
// flight: the closest of those wanted. Every fourth node is the closest one from a
// path that found none of the three before it.
func (w *walk) next(width, parallel int, now time.Time) []*node {
	for _, n := range w.sorted {
		if n.state == asked && !n.late(now) {
			parallel--
		}
	}
	todo := slices.DeleteFunc(w.wanted(width, now), func(n *node) bool { return n.state != known })
	var ask []*node
	for i := 0; len(ask) < parallel && len(todo) > 0 && w.asks < maxNodes; i++ {
		at := 0
		if i%paths == paths-1 {
			recent := ask[len(ask)-paths+1:]
			at = max(0, slices.IndexFunc(todo, func(n *node) bool {
				return !slices.ContainsFunc(recent, func(r *node) bool { return r.path == n.path })
			}))
		}
		ask = append(ask, todo[at])
		w.asks++
		todo = slices.Delete(todo, at, at+1)
	}
	return ask
}

// converged reports whether the width closest live nodes have all answered: none of
// them knows a closer server.
func (w *walk) converged(width int, now time.Time) bool {
	return !slices.ContainsFunc(w.wanted(width, now), func(n *node) bool { return n.state != answered })
}

// wakeAt returns when the next node becomes late.
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

// distance returns the XOR distance of two keys as a share of the key space.
func distance(a, b keyspace.Key) float64 {
	d := keyspace.Distance(a, b)
	return math.Ldexp(float64(binary.BigEndian.Uint64(d[:8])), -64)
}
