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

// A server that has not answered a question after askPatience, or has not taken a
// record after putPatience, may still do so, but nothing waits for it any more:
// the next closest is asked, or given the record, in its place.
const (
	askPatience = 250 * time.Millisecond
	putPatience = 400 * time.Millisecond
)

const (
	// maxNodes bounds how many servers one walk knows at a time, and how many it asks,
	// whatever it is told.
	maxNodes = 2000

	// paths is how many paths a walk goes.
	paths = 4

	// maxPerGroup is how many servers of one IP group count among the closest:
	// others who look for the record may not ask more of them.
	maxPerGroup = 3

	// The closest 20 are too dense to be there by chance if they lie within
	// denseShare of the radius within which 20 are expected: for an honest
	// network that is one name in 20,000. Then all within denseReach radii matter
	// (the estimate is not exact, and counts the dead), but no more than maxDense.
	denseShare = 0.35
	denseReach = 1.4
	maxDense   = 80
)

// A walk is the state of one lookup: the servers known near a target and what
// became of the questions to them. It decides and does nothing: it sends no
// message, reads no clock, and is for one goroutine.
//
// Some servers lie. They may name any number of others that do not exist, close
// to the target; so the walk goes several paths at once, and those that a liar
// names delay its own path alone. And they may gather around a target to be
// the closest to it; so a walk that knows how many servers the network has looks
// beyond those that are closest where they are too many to be there by chance.
type walk struct {
	target keyspace.Key
	radius float64 // within which 20 servers are expected, as a share of the key space; 0: unknown
	byID   map[peer.ID]*node
	sorted []*node // closest to the target first
	asks   int     // how many were given out to be asked
}

// node is one server in a walk.
type node struct {
	contact
	path  uint8 // which of the paths named it first
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

// hear adds a server that a path named, unless it is known already. In a walk that
// is full it takes the place of a farther one.
func (w *walk) hear(c contact, path uint8) {
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

// makeRoom forgets the farthest of the nodes that were only named, so that nobody who
// makes up servers makes the walk forget who is there; where all are more than that,
// the farthest. It reports whether that is farther than n.
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

// straggles reports whether nothing waits for the node any more.
func (n *node) straggles(now time.Time) bool {
	return n.state == asked && now.Sub(n.asked) >= askPatience ||
		n.put == putSent && now.Sub(n.putAt) >= putPatience
}

// counts reports whether the node can be one of the walk's result.
func (n *node) counts(now time.Time) bool {
	return n.state != failed && n.put != putFailed && !n.straggles(now)
}

// proven reports whether the node has ever answered, and not failed since.
func (n *node) proven() bool {
	return n.alive || n.state == answered || n.put == putTaken
}

// live returns the closest nodes that have not failed and do not straggle: those
// among which the walk's result will be, as far as is known. They are count, and
// those among them that have too many of their IP group before them are beyond
// that number.
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
// target than chance would have it.
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

// wanted is live, and where the closest are too dense to be there by chance all
// others within the radius too: the farthest of them first, since who wants to be
// among the closest is close.
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

// next returns the nodes to ask now, so that no more than parallel questions are
// under way: the closest of those wanted. Every fourth is the closest that
// another path knows than the three before.
func (w *walk) next(width, parallel int, now time.Time) []*node {
	for _, n := range w.sorted {
		if n.state == asked && !n.straggles(now) {
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

// converged reports whether the width closest live nodes have all answered:
// then nobody closer is known to anybody who would know.
func (w *walk) converged(width int, now time.Time) bool {
	return !slices.ContainsFunc(w.wanted(width, now), func(n *node) bool { return n.state != answered })
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
