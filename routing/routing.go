// Package routing is the seam where records travel: a [Router] puts a record on a network
// and searches a network for one.
//
// The DHTs, pubsub and delegated HTTP routers are Routers; [Parallel], [Tiered] and
// [Beside] combine several. There are three kinds of networks, called roads; only the
// first that a node has counts, see [Road]. A Router reports what happened and does not
// judge it: Put yields every target that answered, Search every source, and the caller
// adds them up to a [Receipt] or picks the best record.
//
// Records enter from outside only through an [Opener]: what a Router yields is always
// verified, and identical bytes are verified once.
package routing

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
)

// Router puts records on a network and searches a network for them. Implementations are
// safe for concurrent use.
//
// Both methods work while the caller iterates, and stop when it breaks or when ctx ends;
// no goroutine outlives the iteration. An error, if any, is yielded last, with a zero
// value, and means that the operation as a whole failed or is incomplete; a target that
// failed is not such an error. If ctx ends first, the error is that of ctx.
type Router interface {
	// Put offers the record to every target that should hold it, and yields an Ack for
	// each as it takes the record, refuses it or fails. The error is ErrNoTargets if the
	// network has no target and is not expected to have one, ErrAway if it should have
	// servers and none could be reached. Targets report what look asks for in their Acks,
	// if they can.
	Put(ctx context.Context, rec *ipns.Record, look Look) iter.Seq2[Ack, error]

	// Search yields one Answer for each source that answered, including those without a
	// record. Every record was valid when it was opened. If the search ends without an
	// error, it is complete: a name for which no source had a record does not exist on
	// this network. An *IncompleteError means that too few sources answered to know,
	// ErrNoTargets that there is no one to ask and none is expected, ErrAway that there
	// should be servers and none could be reached, any other error that the search
	// failed.
	Search(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error]
}

// Road is the kind of a network. Whether a name counts as announced depends on one road:
// on the DHT, where 20 servers should hold a record, if a node has it; else on its HTTP
// routers; else on its pubsub peers. Copies on other roads are reported, but never count
// among the 20.
type Road string

const (
	DHT    Road = "" // as in receipts from before there were other roads
	HTTP   Road = "http"
	PubSub Road = "pubsub"
)

// Roads lists the roads by precedence. Do not change it.
var Roads = [...]Road{DHT, HTTP, PubSub}

// Roader is implemented by a Router whose road is not the DHT.
type Roader interface {
	// Road returns the road of its networks.
	Road() Road
}

// RoadOf returns the road of a Router; DHT for nil.
func RoadOf(r Router) Road {
	if on, ok := r.(Roader); ok {
		return on.Road()
	}
	return DHT
}

// firstRoad returns the road that counts for a node with these Routers.
func firstRoad(rs []Router) Road {
	for _, road := range Roads {
		if slices.ContainsFunc(rs, func(r Router) bool { return RoadOf(r) == road }) {
			return road
		}
	}
	return DHT
}

// Look says what else a put should find out, without extra round trips. It is meant for
// records just signed and is wasted on one put again; the zero Look asks for nothing.
type Look struct {
	Before bool // the record that targets held before: Ack.Before
	Clock  bool // the time, according to a few targets: Ack.Clock
	// Again says that the record is put again to keep it alive, not because somebody has
	// just published it.
	Again bool
	// Counted, if set, is called once all Acks of the road that counts were yielded, with
	// the error that ended that part. A Router on one road need not call it.
	Counted func(error)
}

// Ack is what one target did with one record.
type Ack struct {
	Name    ipns.Name
	Target  string // a peer id or a URL
	Network string // "wan", "lan", "pubsub", a host name
	Road    Road   // of the network
	Err     error  // nil: the target took the record; ErrRefused: it answered but did not take it
	// Newer is the record because of which the target refused, if it told us.
	Newer *ipns.Record
	// Before is the valid record that the target held before, if Look asked for it and
	// the target told us.
	Before *ipns.Record
	// Clock is the target's clock, if Look asked for it; nil: unknown.
	Clock *Clock
	RTT   time.Duration // from the first byte sent to the answer
	// Of is how many targets of this network should hold the record, as far as known at
	// the time: 20 on a DHT, fewer if it has fewer servers.
	Of int
	// Extra says that the target is not one of these Of: its copy does not count.
	Extra bool
}

// Clock is a reading of a target's clock.
type Clock struct {
	Time time.Time     // according to the target
	Ago  time.Duration // how long before the Ack, about
	// Past says that Time is only a lower bound: the clock showed Time or later.
	Past bool
	// Group is the IP range of the target. Whoever runs many targets in one group counts
	// as one clock.
	Group netip.Prefix
}

// Answer is what one source has for a name.
type Answer struct {
	Record  *ipns.Record // nil: the source has none
	Source  string       // a peer id or a URL
	Network string       // as in Ack
	Road    Road         // of the network
	At      time.Time    // when the answer came
	// Own says that the source is this node itself: the record may be the newest, but no
	// other node has confirmed it.
	Own bool
}

// Errors of a put or a search that reached no target.
var (
	// ErrNoTargets means that the network has no targets and is not expected to have any.
	// It proves nothing about a name, and nothing is wrong.
	ErrNoTargets = errors.New("no reachable servers")

	// ErrAway means that the network should have servers, and none can be reached: what
	// it holds is unknown. Routers return an *AwayError.
	ErrAway = errors.New("away: none of its servers can be reached")
)

// AwayError is the ErrAway of one network.
type AwayError struct {
	Network string
	Road    Road
}

func (e *AwayError) Error() string { return e.Network + " is " + ErrAway.Error() }

// Is reports whether target is ErrAway.
func (e *AwayError) Is(target error) bool { return target == ErrAway }

// ErrRefused means that a target answered but did not take the record.
var ErrRefused = errors.New("refused")

// IncompleteError ends a search in which too few sources answered: whether the name
// exists, or a newer record than the one found, is unknown.
type IncompleteError struct {
	Asked, Answered int
	Err             error // why the others did not answer, if known
}

func (e *IncompleteError) Error() string {
	text := fmt.Sprintf("only %d of %d servers answered", e.Answered, e.Asked)
	if e.Asked <= e.Answered { // a whole network of unknown size did not answer
		text = fmt.Sprintf("not all networks answered, though %d servers did", e.Answered)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns why the others did not answer.
func (e *IncompleteError) Unwrap() error { return e.Err }

// Region is a part of the key space.
type Region = keyspace.Region

// Sweeper is implemented by a Router that can put many records of one region
// with one visit to each server.
type Sweeper interface {
	// Sweep puts the records and yields one Ack for each record and target. The records
	// must lie in the region, in the order of their Kademlia ids.
	Sweep(ctx context.Context, region Region, records iter.Seq[*ipns.Record]) iter.Seq2[Ack, error]

	// Pace limits how many records sweeps offer to servers per second from now on, on
	// average, counting each server, so that other work gets its share of the machine. 0,
	// the initial value, means no limit.
	Pace(perSecond float64)

	// Survival returns how long records of a region last, as sweeps of this Router have
	// measured. Its figures only grow.
	Survival(region Region) Survival
}

// Survival counts how many records servers still have. Before a sweep puts anything on a
// server again, it asks for a record that the server took at least an hour ago.
type Survival struct {
	Asked int           // records that servers were asked for, and answered
	Held  int           // how many of them, or newer ones, the server still had
	Age   time.Duration // sum of the times since the server had taken each
}

// Add returns the sum of both.
func (s Survival) Add(t Survival) Survival {
	return Survival{s.Asked + t.Asked, s.Held + t.Held, s.Age + t.Age}
}

// Since returns what was counted after t.
func (s Survival) Since(t Survival) Survival {
	return Survival{s.Asked - t.Asked, s.Held - t.Held, s.Age - t.Age}
}

// Watcher is implemented by a Router that receives new records of a name without asking
// for them.
type Watcher interface {
	// Watch yields records as they arrive, until ctx ends or the caller breaks.
	Watch(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error]
}
