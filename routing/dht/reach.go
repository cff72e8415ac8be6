package dht

import (
	"slices"
	"time"

	"github.com/goipns/ipns/internal/keyspace"
)

// reach says which servers are close enough to a key to be sent a value before a walk
// has shown that no server is closer.
type reach struct {
	// trusted says that the map is complete around the key, except perhaps for a few
	// new servers.
	trusted bool

	// radius is the expected distance of the 20th closest server, as a share of the
	// key space. 0: unknown.
	radius float64
}

const (
	// The map is trusted if the closest 20 servers were seen within trustAge and lie
	// within trustRadius radii.
	trustAge    = 24 * time.Hour
	trustRadius = 1.6

	// If the size of the network is unknown, the map is trusted if no more than
	// smallNetwork servers are known and the closest have answered within provenAge.
	smallNetwork = 60
	provenAge    = time.Hour
)

// covers reports whether a server is probably among the closest 20.
func (r reach) covers(target, server keyspace.Key) bool {
	return distance(target, server) < r.radius
}

// reach returns the reach of a key.
func (r *Router) reach(target keyspace.Key) reach {
	var reach reach
	size, sizeKnown := r.size()
	if sizeKnown {
		reach.radius = replicas / size
	}
	now := time.Now()
	near := r.servers.closest(target, replicas, now)
	if !sizeKnown {
		reach.trusted = len(near) > 0 && max(r.servers.Len(), r.table.Size()) <= smallNetwork &&
			!slices.ContainsFunc(near, func(c contact) bool { return !c.alive || now.Sub(c.seen) > provenAge })
		return reach
	}
	reach.trusted = len(near) == replicas &&
		distance(target, near[replicas-1].key) < trustRadius*reach.radius &&
		!slices.ContainsFunc(near, func(c contact) bool { return now.Sub(c.seen) > trustAge })
	return reach
}

// size returns the estimated number of servers in the network.
func (r *Router) size() (float64, bool) {
	n, err := r.kad.NetworkSize()
	if err != nil || n < replicas {
		return 0, false
	}
	return float64(n), true
}
