package dht

import (
	"slices"
	"time"

	"github.com/goipns/ipns/internal/keyspace"
)

// reach says which servers are close enough to a key to be given what belongs
// there, before a walk has shown that nobody is closer.
type reach struct {
	// trusted says that the map knows the servers around the key: the closest of
	// the map are the closest there are, but for a few that came since.
	trusted bool

	// radius is how far from the key, as a share of the key space, the 20th
	// closest server is expected. 0: unknown.
	radius float64
}

const (
	// trustAge is how long ago a server of the map may have been heard of, and
	// trustRadius how far the 20th may be, in radii, for the map to be trusted.
	trustAge    = 24 * time.Hour
	trustRadius = 1.6

	// Where the size of the network is not known, the map is trusted if all that
	// is known are so few servers and the closest have answered within provenAge.
	smallNetwork = 60
	provenAge    = time.Hour
)

// covers reports whether a server is so close to the key that it is among the
// closest 20, probably.
func (r reach) covers(target, server keyspace.Key) bool {
	return distance(target, server) < r.radius
}

// reach judges the surroundings of a key.
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

// size is the estimated number of servers of the network.
func (r *Router) size() (float64, bool) {
	n, err := r.kad.NetworkSize()
	if err != nil || n < replicas {
		return 0, false
	}
	return float64(n), true
}
