// Package routing is the seam where records travel: a [Router] puts a record
// on a network and searches a network for one.
//
// The DHTs, pubsub and delegated HTTP routers are each a Router; [Parallel], [Tiered]
// and [Beside] make one of many. They travel by three roads, see [Road]: those of the
// first that a node has count. What a Router is asked to do and what happened are
// two things: Put reports every target that answered, Search every source, and
// the caller folds them to a [Receipt] or to the best record. Nothing in here
// decides what is enough.
//
// Records enter from outside only through an [Opener], so that what a Router
// yields is always verified, and identical bytes are verified once.
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

// Router puts records on a network and searches a network for them.
// Implementations are safe for concurrent use.
//
// Both methods do their work while the caller iterates and stop when it breaks
// or when ctx ends; they leave no goroutine behind once the iteration is over.
// An error, if any, is yielded last, with a zero value, and means that the
// operation as a whole came to nothing or to less than it says; a target that
// failed is no such error. If ctx ends first, the error is that of ctx.
type Router interface {
	// Put offers the record to every target that should hold it and yields one
	// Ack for each as it answers, refuses or fails. The error is ErrNoTargets
	// if the network has nobody to offer it to, and need not have; ErrAway if it
	// should have servers and none was reached. What look asks for comes in the Acks
	// of those targets that can tell.
	Put(ctx context.Context, rec *ipns.Record, look Look) iter.Seq2[Ack, error]

	// Search yields one Answer for each source that answered, also those that
	// have no record. Every record is valid at the time it was opened. If the
	// search ends without an error, as many sources answered as it takes to know,
	// and a name for which none had a record does not exist on this network. An
	// *IncompleteError says that too few answered for that, ErrNoTargets that
	// there is nobody to ask and need not be, ErrAway that there should be servers
	// and none was reached, any other error that the search failed.
	Search(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error]
}

// Road is the kind of a network. Whether a name is announced is measured on one road:
// on the DHT, where 20 servers should hold a record, if a node has it; else by its HTTP
// routers; else by its pubsub peers. What others have is told, and never counted as one
// of the 20.
type Road string

const (
	DHT    Road = "" // as in all receipts from before there were others
	HTTP   Road = "http"
	PubSub Road = "pubsub"
)

// roads are in the order in which they count.
var roads = [...]Road{DHT, HTTP, PubSub}

// Roader is implemented by a Router whose road is not the DHT.
type Roader interface {
	// Road is the road by which it is measured.
	Road() Road
}

// RoadOf returns the road by which a Router is measured; nil has none and is as the DHT.
func RoadOf(r Router) Road {
	if on, ok := r.(Roader); ok {
		return on.Road()
	}
	return DHT
}

// firstRoad returns the road that counts of several Routers.
func firstRoad(rs []Router) Road {
	for _, road := range roads {
		if slices.ContainsFunc(rs, func(r Router) bool { return RoadOf(r) == road }) {
			return road
		}
	}
	return DHT
}

// Look says what a put finds out beside, without a round trip more. It is for
// records that were signed just now: for one that is put again it is a waste, and
// the zero Look asks nothing.
type Look struct {
	Before bool // what targets held before: Ack.Before
	Clock  bool // what time it is, as a few targets see it: Ack.Clock
	// Counted, if set, is called when all Acks of the road that counts were yielded,
	// and only others can follow. A Router on one road need not call it.
	Counted func()
}

// Ack tells what one target did with one record.
type Ack struct {
	Name    ipns.Name
	Target  string // who: a peer id or a URL
	Network string // where: "wan", "lan", "pubsub", a host name
	Road    Road   // of the network
	Err     error  // nil: the target took the record; ErrRefused: it answered, and did not
	// Newer is the record that made the target refuse, if it told us.
	Newer *ipns.Record
	// Before is the valid record that the target held when the put came, if that
	// was looked for: nil if it had none, or did not tell.
	Before *ipns.Record
	// Clock is what the target's clock said, if that was looked for; nil: unknown.
	Clock *Clock
	RTT   time.Duration // from the first byte sent to the answer
	// Of is how many targets of this network should hold the record, as far as
	// known when the Ack was made: 20 on a DHT, fewer if it has fewer servers.
	Of int
	// Extra says that the target is beyond those Of: it holds a copy that is
	// not counted.
	Extra bool
}

// Clock is what the clock of a target said.
type Clock struct {
	Time time.Time     // as the target had it
	Ago  time.Duration // how long, about, before the Ack
	// Past says that Time is of an earlier moment than that: the target's clock had
	// Time or more.
	Past bool
	// Group is the part of the internet that the target is in. Whoever has many
	// targets in one has one clock.
	Group netip.Prefix
}

// Answer is what one source said of a name.
type Answer struct {
	Record  *ipns.Record // nil: the source has none
	Source  string       // who: a peer id or a URL
	Network string       // where, as in Ack
	Road    Road         // of the network
	At      time.Time    // when the answer came
	// Own says that the source is this node itself: the record may be the newest,
	// but nobody else has said so.
	Own bool
}

// Errors that end a put or a search that reached nobody.
var (
	// ErrNoTargets says that a network has nobody to put a record to or to ask,
	// and was never meant to have: what it does not know proves nothing, and nothing
	// is missing.
	ErrNoTargets = errors.New("no reachable servers")

	// ErrAway says that a network should have servers, and none of them is reached:
	// what exists there is unknown. Routers end with an *AwayError.
	ErrAway = errors.New("away: none of its servers is reached")
)

// AwayError is ErrAway of one network.
type AwayError struct {
	Network string
	Road    Road
}

func (e *AwayError) Error() string { return e.Network + " is " + ErrAway.Error() }

// Is reports whether target is ErrAway.
func (e *AwayError) Is(target error) bool { return target == ErrAway }

// ErrRefused says that a target answered and did not take the record.
var ErrRefused = errors.New("refused")

// IncompleteError ends a search in which too few sources answered: whether the
// name exists, and whether what was found is the newest, is unknown.
type IncompleteError struct {
	Asked, Answered int
	Err             error // why the others did not, if known
}

func (e *IncompleteError) Error() string {
	text := fmt.Sprintf("only %d of %d servers answered", e.Answered, e.Asked)
	if e.Asked <= e.Answered { // a whole network did not, and nobody knows its size
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
	// Sweep puts the records, which come in the order of their Kademlia ids and
	// lie in the region, and yields one Ack for each record and target.
	Sweep(ctx context.Context, region Region, records iter.Seq[*ipns.Record]) iter.Seq2[Ack, error]

	// Pace bounds how many records a second sweeps offer to servers from now on, on
	// average and each server counted: whoever else needs the machine has the rest.
	// 0, as at first, is as many as they can.
	Pace(perSecond float64)

	// Survival tells how long records of a region last, as far as sweeps have found
	// since the Router was made. It only ever grows.
	Survival(region Region) Survival
}

// Survival tells how records last on servers: before a sweep puts anything on a
// server again, it asks for a record that the server took at least an hour before:
// what was put just now tells nothing.
type Survival struct {
	Asked int           // records that servers were asked for, and answered
	Held  int           // of them, those that the server still had, or a newer one
	Age   time.Duration // the sum of how long ago the server had taken each
}

// Add returns the sum of both.
func (s Survival) Add(t Survival) Survival {
	return Survival{s.Asked + t.Asked, s.Held + t.Held, s.Age + t.Age}
}

// Since returns what was found after t.
func (s Survival) Since(t Survival) Survival {
	return Survival{s.Asked - t.Asked, s.Held - t.Held, s.Age - t.Age}
}

// Watcher is implemented by a Router that is told of new records of a name
// without asking for them.
type Watcher interface {
	// Watch yields records as they arrive, until ctx ends or the caller breaks.
	Watch(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error]
}
