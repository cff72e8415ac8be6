package simnet

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// This file is for the test harness: it returns the ground truth and changes it.

func (n *Network) lookup(p peer.ID) *server {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byID[p]
}

// slotOf returns the slot of a peer, even of one that does not exist.
func (n *Network) slotOf(p peer.ID) uint32 {
	if s := n.lookup(p); s != nil {
		return s.slot
	}
	k := keyspace.KeyOf([]byte(p))
	return binary.BigEndian.Uint32(k[:])
}

// closest returns the k servers alive that are closest to the key, closest first.
func (n *Network) closest(target keyspace.Key, k int) []*server {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for prefix := bits.Len(uint(len(n.servers))); ; prefix-- {
		near := slices.DeleteFunc(slices.Clone(n.within(keyspace.RegionOf(target, prefix))), (*server).unreachable)
		if len(near) >= k || prefix == 0 {
			sortByDistance(near, target)
			return near[:min(k, len(near))]
		}
	}
}

// Closest returns the k servers alive that are closest to a routing key, closest
// first.
func (n *Network) Closest(routingKey []byte, k int) []peer.AddrInfo {
	var infos []peer.AddrInfo
	for _, s := range n.closest(keyspace.KeyOf(routingKey), k) {
		infos = append(infos, s.info())
	}
	return infos
}

func (s *server) info() peer.AddrInfo {
	return peer.AddrInfo{ID: s.id, Addrs: []ma.Multiaddr{s.addr}}
}

// Bootstrap returns k honest servers, always the same: what a client knows about a
// network at first.
func (n *Network) Bootstrap(k int) []peer.AddrInfo {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var infos []peer.AddrInfo
	r := n.random("bootstrap", 0)
	for _, i := range r.Perm(len(n.servers)) {
		s := n.servers[i]
		if len(infos) < k && s.is(Honest) && s.roundTrip() <= 2*n.profile.RTT {
			infos = append(infos, s.info())
		}
	}
	return infos
}

// Alive counts the servers that answer a dial.
func (n *Network) Alive() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	alive := 0
	for _, s := range n.servers {
		if !s.unreachable() {
			alive++
		}
	}
	return alive
}

// Place stores the record at the k closest servers alive, without any traffic.
func (n *Network) Place(r *ipns.Record, k int) {
	for _, s := range n.closest(r.Name().Kad(), k) {
		s.store(string(r.Name().RoutingKey()), r.Raw())
	}
}

// Holders returns how many of the 20 closest servers alive hold the record or a
// newer one.
func (n *Network) Holders(r *ipns.Record) int {
	holders := 0
	for _, s := range n.closest(r.Name().Kad(), BucketSize) {
		s.mu.Lock()
		v := s.values[string(r.Name().RoutingKey())]
		s.mu.Unlock()
		if v.serves(time.Now()) && v.rec != nil && ipns.Compare(v.rec, r) >= 0 {
			holders++
		}
	}
	return holders
}

// Held returns what server p has under a routing key, or nil.
func (n *Network) Held(p peer.ID, routingKey []byte) []byte {
	if s := n.lookup(p); s != nil {
		return s.held(string(routingKey))
	}
	return nil
}

// Behave changes how server p behaves. A server that dies closes its connections.
func (n *Network) Behave(p peer.ID, b Behaviour) {
	s := n.lookup(p)
	if s == nil {
		return
	}
	s.behaviour.Store(uint32(b))
	if b == Dead {
		n.sever(map[*server]bool{s: true})
	}
}

// Slow changes the round-trip time of server p.
func (n *Network) Slow(p peer.ID, rtt time.Duration) {
	if s := n.lookup(p); s != nil {
		s.rtt.Store(int64(rtt))
	}
}

// SetClocks sets how far the servers' clocks are ahead of the hosts'. It shows in the
// times at which servers say they received a record.
func (n *Network) SetClocks(ahead time.Duration) { n.ahead.Store(int64(ahead)) }

// Replace removes a share of the servers and adds as many new ones. The removed servers
// are dead. To keep the share of dead entries in routing tables constant, as many servers
// that were already dead disappear from all routing tables.
func (n *Network) Replace(share float64) {
	n.mu.Lock()
	r := n.random("replace", uint64(n.epoch))
	var alive, dead []*server
	for _, s := range n.servers {
		if s.unreachable() {
			dead = append(dead, s)
		} else {
			alive = append(alive, s)
		}
	}
	left := map[*server]bool{}
	for _, i := range r.Perm(len(alive))[:int(share*float64(len(alive)))] {
		left[alive[i]] = true
	}
	forgotten := map[*server]bool{}
	for _, i := range r.Perm(len(dead))[:min(len(left), len(dead))] {
		forgotten[dead[i]] = true
	}
	room := len(forgotten)
	for _, s := range alive {
		if !left[s] {
			continue
		}
		s.behaviour.Store(uint32(Dead))
		if room == 0 {
			forgotten[s] = true
		} else {
			room--
		}
	}
	n.servers = slices.DeleteFunc(n.servers, func(s *server) bool { return forgotten[s] })
	for s := range forgotten {
		delete(n.byID, s.id)
	}
	for range len(left) {
		s := n.spawn()
		for s.unreachable() {
			s = n.spawn()
		}
		n.add(s)
	}
	n.changed()
	n.mu.Unlock()
	n.sever(left)
}

// Churn replaces the share of the servers every period until stop is closed. It blocks.
func (n *Network) Churn(share float64, period time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.Replace(share)
		case <-stop:
			return
		}
	}
}

// Eclipse adds attackers with ids closer to the routing key than any honest server. They
// name only each other, and store nothing.
func (n *Network) Eclipse(routingKey []byte, attackers int) {
	target := keyspace.KeyOf(routingKey)
	nearest := n.closest(target, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.random("eclipse", binary.BigEndian.Uint64(target[:8]))
	var gang []*server
	for len(gang) < attackers {
		id := randomID(r)
		if len(nearest) > 0 && keyspace.Closer(target, keyspace.KeyOf([]byte(id)), nearest[0].key) >= 0 {
			continue
		}
		s := n.newServer(id, temper{rtt: n.profile.RTT, behaviour: Eclipsing})
		gang = append(gang, s)
		n.add(s)
	}
	for _, s := range gang {
		s.gang = gang
	}
	n.changed()
}

// sever closes the connections of all hosts to the servers.
func (n *Network) sever(servers map[*server]bool) {
	n.mu.RLock()
	hosts := slices.Clone(n.hosts)
	n.mu.RUnlock()
	for _, h := range hosts {
		h.disconnect(slices.DeleteFunc(h.connections(), func(c *conn) bool { return !servers[c.server] }))
	}
}

// Disconnect closes the connections of a host to the peers, or all if no peers are given,
// including protected ones.
func (n *Network) Disconnect(h host.Host, from ...peer.ID) {
	own := n.attached(h)
	own.disconnect(slices.DeleteFunc(own.connections(), func(c *conn) bool {
		return len(from) > 0 && !slices.Contains(from, c.server.id)
	}))
}

// Stats counts what a host has done. Requests count when they are sent, dials when they
// start, answers when they arrive.
type Stats struct {
	Find         int64 // FIND_NODE, except:
	FindSelf     int64 // FIND_NODE that asks a server for its own neighbours
	Get          int64 // GET_VALUE
	Put          int64 // PUT_VALUE
	AddProvider  int64
	GetProviders int64
	Ping         int64

	Dials, FailedDials int64
	BytesUp, BytesDown int64 // frames, and a constant for each dial
}

// RPCs is the number of requests of all kinds.
func (s Stats) RPCs() int64 {
	return s.Find + s.FindSelf + s.Get + s.Put + s.AddProvider + s.GetProviders + s.Ping
}

// Sub returns the difference to an earlier count.
func (s Stats) Sub(earlier Stats) Stats {
	return Stats{
		s.Find - earlier.Find, s.FindSelf - earlier.FindSelf, s.Get - earlier.Get, s.Put - earlier.Put,
		s.AddProvider - earlier.AddProvider, s.GetProviders - earlier.GetProviders, s.Ping - earlier.Ping,
		s.Dials - earlier.Dials, s.FailedDials - earlier.FailedDials,
		s.BytesUp - earlier.BytesUp, s.BytesDown - earlier.BytesDown,
	}
}

// Stats returns what the host has done so far.
func (n *Network) Stats(h host.Host) Stats {
	c := &n.attached(h).count
	return Stats{
		c.find.Load(), c.findSelf.Load(), c.get.Load(), c.put.Load(),
		c.addProvider.Load(), c.getProviders.Load(), c.ping.Load(),
		c.dials.Load(), c.failedDials.Load(), c.bytesUp.Load(), c.bytesDown.Load(),
	}
}

// request counts a request to server p; by = -1 takes it back.
func (c *counters) request(p peer.ID, m *pb.Message, by int64) {
	switch m.GetType() {
	case pb.Message_FIND_NODE:
		if peer.ID(m.GetKey()) == p {
			c.findSelf.Add(by)
		} else {
			c.find.Add(by)
		}
	case pb.Message_GET_VALUE:
		c.get.Add(by)
	case pb.Message_PUT_VALUE:
		c.put.Add(by)
	case pb.Message_ADD_PROVIDER:
		c.addProvider.Add(by)
	case pb.Message_GET_PROVIDERS:
		c.getProviders.Add(by)
	case pb.Message_PING:
		c.ping.Add(by)
	}
}

// Providing returns how many of the 20 closest servers alive name p as a provider of what
// has a routing key, which for content is its multihash.
func (n *Network) Providing(routingKey []byte, p peer.ID) int {
	count := 0
	for _, s := range n.closest(keyspace.KeyOf(routingKey), BucketSize) {
		s.mu.Lock()
		if slices.ContainsFunc(s.providers[string(routingKey)], func(q *pb.Message_Peer) bool { return peer.ID(q.GetId()) == p }) {
			count++
		}
		s.mu.Unlock()
	}
	return count
}
