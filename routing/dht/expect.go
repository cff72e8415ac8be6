package dht

import (
	"time"

	"github.com/goipns/ipns/routing"
)

// Names of the two networks, as used in Acks and Answers.
const (
	WAN = "wan"
	LAN = "lan"
)

// awayAge is how long a network remains expected after its last answer.
const awayAge = 30 * 24 * time.Hour

// Signs are the facts from which Expected decides which network a node should be on.
type Signs struct {
	// Bootstrap says that there are peers to join by.
	Bootstrap bool

	// ReachedWAN and ReachedLAN say that a bootstrap peer was reached since the start
	// and serves that network.
	ReachedWAN, ReachedLAN bool

	// AnsweredWAN is when a WAN server last answered, including before this start.
	// AnsweredLAN is when a LAN server last answered since the start.
	AnsweredWAN, AnsweredLAN time.Time
}

// Expected names the network that should have servers; empty: none need to. An
// expected network on which no server can be reached is away, and what records exist
// there is unknown.
//
// The WAN is expected if no bootstrap peer has been reached yet, if one that serves
// the WAN has been reached, and for 30 days after a WAN server last answered. The last
// rule also applies if only LAN peers can be reached now: a machine without internet
// access may still reach a neighbour. Otherwise the LAN is expected if a bootstrap
// peer that serves it has been reached, as in a test network, or if a LAN server has
// answered recently.
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

// Expected names the network that should have servers. See [Signs.Expected].
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

// Answered returns when a server last answered this Router; zero: never.
func (r *Router) Answered() time.Time {
	if at := r.answered.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// standing says whether the Router's network is the expected one.
type standing int

const (
	loose  standing = iota // no network is expected
	needed                 // this one is: it should have servers
	spare                  // the other one is: a missing record here proves nothing
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

// shouldHold returns how many servers should hold a record when so many live ones are
// found; at least one, that which has just answered. In a network with fewer than 20
// servers, those that answered within a day and are left alone after failures count
// too: who took the record are then not all who should have it.
func (r *Router) shouldHold(live int, now time.Time) int {
	if live < replicas && r.standing() != spare {
		live = min(live+r.servers.lost(now), replicas)
	}
	return max(live, 1)
}

// nobody returns the error of an operation that reached no server.
func (r *Router) nobody() error {
	if r.standing() == needed {
		return &routing.AwayError{Network: r.network}
	}
	return routing.ErrNoTargets
}
