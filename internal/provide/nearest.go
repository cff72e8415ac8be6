package provide

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/internal/keyspace"
)

// Limits of a nearest.
const (
	replicas     = 20               // servers that should hold an announcement
	spare        = 8                // further ones, for those that fail
	maxServers   = 1 << 15          // known at a time
	maxSending   = 1 << 16          // keys
	serverStays  = 30 * time.Minute // known
	failedStays  = 10 * time.Minute // passed over
	sendingStays = 30 * time.Minute // of a key that is not sent as often as it should be
)

// nearest stands between the sweep of kad-dht and a DHT, and sees to it that announcements
// reach the servers closest to their keys.
//
// The sweep finds all servers of a region, and gives each key to 20 of them, of which some 13
// are among the 20 closest: it compares the bits of a key with those of a server at different
// depths (v0.42.2). So the servers that it finds are remembered here, and each of its sends of
// a key goes to the closest server that has not got the key yet. If a server fails, the next
// one gets it.
//
// The servers are found by our lookup. That of kad-dht sometimes misses most of the closest
// ones where some are dead, and the sweep takes what it finds for the whole of a region.
type nearest struct {
	pb.MessageSender
	dht interface {
		Closest(context.Context, []byte) ([]peer.ID, error)
	}

	mu      sync.Mutex // guards below
	servers []server   // by key
	failed  map[peer.ID]time.Time
	sending map[string]*allocation
}

// server is a server that was found.
type server struct {
	key keyspace.Key
	id  peer.ID
	at  time.Time
}

// allocation is whom a key goes to, while it is sent.
type allocation struct {
	to         []peer.ID // the closest first
	next, done int
	at         time.Time
}

// GetClosestPeers looks for servers, and remembers those that were found.
func (n *nearest) GetClosestPeers(ctx context.Context, key string) ([]peer.ID, error) {
	found, err := n.dht.Closest(ctx, []byte(key))
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for _, id := range found {
		s := server{keyspace.KeyOf([]byte(id)), id, now}
		at, known := slices.BinarySearchFunc(n.servers, s.key, server.compare)
		if known {
			n.servers[at] = s
			continue
		}
		if len(n.servers) == maxServers {
			n.servers = slices.DeleteFunc(n.servers, func(s server) bool { return now.Sub(s.at) > serverStays })
			if len(n.servers) == maxServers {
				n.servers = n.servers[:0]
			}
			at, _ = slices.BinarySearchFunc(n.servers, s.key, server.compare)
		}
		n.servers = slices.Insert(n.servers, at, s)
	}
	return found, err
}

func (s server) compare(k keyspace.Key) int { return s.key.Compare(k) }

// SendMessage sends an announcement to the next server that should get it, which need not
// be p.
func (n *nearest) SendMessage(ctx context.Context, p peer.ID, m *pb.Message) error {
	if m.GetType() != pb.Message_ADD_PROVIDER {
		return n.MessageSender.SendMessage(ctx, p, m)
	}
	key := string(m.GetKey())
	defer n.end(key)
	for first := true; ; first = false {
		to, ok := n.target(key)
		if !ok {
			return n.MessageSender.SendMessage(ctx, p, m)
		}
		err := n.MessageSender.SendMessage(ctx, to, m)
		if err == nil {
			return nil
		}
		// The first one had all the time that there was.
		if ctx.Err() == nil || first && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			n.fails(to)
		}
		if ctx.Err() != nil {
			return err
		}
	}
}

// fails notes that a server failed.
func (n *nearest) fails(p peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.failed == nil || len(n.failed) >= maxServers {
		n.failed = map[peer.ID]time.Time{}
	}
	n.failed[p] = time.Now()
}

// target returns the server that a key goes to next; false: it is not known.
func (n *nearest) target(key string) (peer.ID, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	a := n.sending[key]
	if a != nil && now.Sub(a.at) > sendingStays { // the sweep gave up on some of its servers
		a = nil
		delete(n.sending, key)
	}
	if a == nil {
		if len(n.sending) >= maxSending || n.sending == nil {
			// Some of these were given up; the rest begins anew, which sends a few twice.
			n.sending = map[string]*allocation{}
		}
		a = &allocation{to: n.closest(keyspace.KeyOf([]byte(key)), now), at: now}
		n.sending[key] = a
	}
	for a.next < len(a.to) {
		to := a.to[a.next]
		a.next++
		if at, ok := n.failed[to]; !ok || now.Sub(at) > failedStays {
			return to, true
		}
	}
	return "", false
}

// end forgets a key when it was sent as often as it should be.
func (n *nearest) end(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.sending[key]
	if a == nil {
		return
	}
	if a.done++; a.done >= min(replicas, len(a.to)) {
		delete(n.sending, key)
	}
}

// closest returns the servers closest to a key, and a few more. The caller holds mu.
func (n *nearest) closest(key keyspace.Key, now time.Time) []peer.ID {
	for bits := 16; ; bits-- {
		region := keyspace.RegionOf(key, bits)
		from, _ := slices.BinarySearchFunc(n.servers, region.First(), server.compare)
		to, found := slices.BinarySearchFunc(n.servers, region.Last(), server.compare)
		if found {
			to++
		}
		if to-from < replicas+spare && bits > 0 {
			continue
		}
		near := slices.DeleteFunc(slices.Clone(n.servers[from:to]), func(s server) bool { return now.Sub(s.at) > serverStays })
		if len(near) < replicas+spare && bits > 0 {
			continue
		}
		slices.SortFunc(near, func(a, b server) int { return keyspace.Closer(key, a.key, b.key) })
		var ids []peer.ID
		for _, s := range near[:min(len(near), replicas+spare)] {
			ids = append(ids, s.id)
		}
		return ids
	}
}
