package dht

import (
	"time"

	"github.com/goipns/ipns/routing"
)

// The names of the two networks in Acks and Answers.
const (
	WAN = "wan"
	LAN = "lan"
)

// awayAge is for how long after its last answer a network is expected to be there.
const awayAge = 30 * 24 * time.Hour

// Signs are what tells which network a node should be on.
type Signs struct {
	// Bootstrap says that there are peers to join by.
	Bootstrap bool

	// ReachedWAN and ReachedLAN say that one of them was reached since the start,
	// and serves that network.
	ReachedWAN, ReachedLAN bool

	// AnsweredWAN is when a server of the WAN last answered, in this life of the node
	// or an earlier one; AnsweredLAN is the same for the LAN, of this life alone.
	AnsweredWAN, AnsweredLAN time.Time
}

// Expected names the network that should have servers; empty: none need have. What
// is expected and reaches nobody is away: then what others know is not known here.
//
// The WAN is expected while nobody was reached of those to join by, when one of
// them serves it, and for 30 days after a server of it answered, which holds also
// where those that are reached now serve only the LAN: a machine without the
// internet may well reach a neighbour. Else the LAN is expected if they serve only
// that, as in a test network, or if somebody on it has answered since the start.
func (s Signs) Expected(now time.Time) string {
	lately := func(t time.Time) bool { return !t.IsZero() && now.Sub(t) < awayAge }
	switch {
	case s.Bootstrap && !s.ReachedWAN && !s.ReachedLAN, s.ReachedWAN, lately(s.AnsweredWAN):
		return WAN
	case s.ReachedLAN, lately(s.AnsweredLAN):
		return LAN
	}
	return ""
}

// Expected names the network that should have servers, by the signs of the node and
// by who has answered.
func (d *DHT) Expected() string {
	if d.signs == nil {
		return ""
	}
	s := d.signs()
	s.AnsweredWAN = later(s.AnsweredWAN, d.WAN.Answered())
	s.AnsweredLAN = later(s.AnsweredLAN, d.LAN.Answered())
	return s.Expected(time.Now())
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Answered is when a server of the network last answered this Router; zero: none has
// since it was made.
func (r *Router) Answered() time.Time {
	if at := r.answered.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// standing is what a Router is to its node.
type standing int

const (
	loose  standing = iota // no network is expected: who is there counts
	needed                 // this network should have servers
	spare                  // another one should: what this one does not know says nothing
)

func (r *Router) standing() standing {
	if r.expect == nil {
		return loose
	}
	switch r.expect() {
	case "":
		return loose
	case r.network:
		return needed
	}
	return spare
}

// nobody is the error of an operation that reached no server.
func (r *Router) nobody() error {
	if r.standing() == needed {
		return &routing.AwayError{Network: r.network}
	}
	return routing.ErrNoTargets
}
