package dht

import (
	"net/netip"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/keyspace"
)

const (
	// MaxServers is how many servers a Map remembers. They take less than 32 MiB.
	MaxServers = 25_000

	// maxGroupServers is how many servers of one IP group a Map remembers, so that the
	// owner of one IP range cannot fill the map with servers of their own.
	maxGroupServers = MaxServers / 25

	// maxUnproven is how many servers that never answered a Map remembers from the
	// same namer, so that one server cannot fill the map with made-up servers.
	maxUnproven = MaxServers / 25

	// maxGuests is how many servers are kept for a while although the map has no room
	// for them: those that a few lookups are about to query.
	maxGuests = 2000

	// maxAddrs and maxAddrBytes bound the addresses kept for one server.
	maxAddrs     = 8
	maxAddrBytes = 400

	// A server that failed is not contacted for deadPause. The pause doubles with each
	// further failure, up to deadPauseMax.
	deadPause    = 5 * time.Minute
	deadPauseMax = 24 * time.Hour

	// A new server may replace one that has neither answered nor been named for
	// staleAfter, one that failed and has never answered, and one that failed
	// deadFailures times in a row.
	staleAfter   = 48 * time.Hour
	deadFailures = 3

	// evictPause is how long a full Map waits before it looks for stale servers again.
	evictPause = time.Minute
)

// A Map holds what a client knows about the servers of one DHT: their ids, places in
// the key space, addresses and past behaviour. It finds the known servers closest to
// a key without any network request.
//
// Every answer of every lookup updates it. Its size is bounded in total, per IP
// group, and per naming server. When it is full, a dead or stale server makes room.
// If there is none, the new server becomes a guest, which can be queried for a while.
// Once a guest answers, it replaces a server that was only named, so made-up servers
// cannot keep real ones out. All methods are safe for concurrent use.
type Map struct {
	mu       sync.RWMutex
	byID     map[peer.ID]*server
	sorted   []*server                  // by key
	groups   map[netip.Prefix]int       // how many servers each IP group has
	unproven map[peer.ID]int            // by namer: servers that never answered
	guests   map[peer.ID]*server        // at most maxGuests
	queue    []peer.ID                  // of the guests, the longest here first
	full     map[netip.Prefix]time.Time // when a group, or the whole map, had no server to evict
}

// server is the Map's entry for one server. Its id and key never change; the Map's
// lock guards the rest.
type server struct {
	id    peer.ID
	key   keyspace.Key
	addrs [][]byte // binary multiaddrs
	said  uint64   // hash of the addresses as they were last named; 0: unknown
	group netip.Prefix
	namer peer.ID // the peer that named it first, until it answers; "": none that counts

	lastNamed time.Time     // when another server last named it
	answered  time.Time     // when it last answered
	failed    time.Time     // when it last failed, after it last answered
	failures  int           // since it last answered
	rtt       time.Duration // of requests, smoothed; 0: unknown
}

// usable reports whether the server may be contacted now.
func (s *server) usable(now time.Time) bool {
	if s.failures == 0 {
		return true
	}
	pause := deadPauseMax
	if s.failures < 9 {
		pause = min(deadPauseMax, deadPause<<(s.failures-1))
	}
	return now.Sub(s.failed) >= pause
}

// Len returns the number of servers in the Map, including dead ones.
func (m *Map) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.sorted)
}

// find returns the index of key in the sorted list. The caller holds the lock.
func (m *Map) find(key keyspace.Key) int {
	return sort.Search(len(m.sorted), func(i int) bool { return m.sorted[i].key.Compare(key) >= 0 })
}

// noteAddrs adds a server or updates its addresses. ok is false if the server should
// not be contacted because it has no address or is in its pause after a failure.
func (m *Map) noteAddrs(id peer.ID, addrs []ma.Multiaddr, now time.Time) (c contact, ok bool) {
	return m.noteNamed(id, "", 0, addrs, now)
}

// noteNamed is noteAddrs for a server named by namer. said is the hash of all
// addresses in the answer; addrs are the usable ones.
func (m *Map) noteNamed(id, namer peer.ID, said uint64, addrs []ma.Multiaddr, now time.Time) (c contact, ok bool) {
	packed := packAddrs(addrs)
	if len(packed) == 0 || len(id) == 0 || len(id) > maxIDBytes {
		return contact{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.byID[id]
	if s == nil {
		s = &server{id: id, key: keyspace.KeyOf([]byte(id)), addrs: packed, said: said, group: groupOf(addrs), namer: namer, lastNamed: now}
		if !m.add(s, now) {
			m.addGuest(s)
		}
		return s.contact(), true
	}
	s.lastNamed = now
	if slices.EqualFunc(s.addrs, packed, slices.Equal) || m.move(s, groupOf(addrs), now) {
		s.addrs, s.said = packed, said
	}
	return s.contact(), s.usable(now)
}

// noteUnchanged is noteNamed for a known server whose address hash has not changed,
// so that its addresses need not be parsed. known is false for any other server.
func (m *Map) noteUnchanged(id peer.ID, said uint64, now time.Time) (c contact, ok, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.byID[id]
	if s == nil || s.said != said {
		return contact{}, false, false
	}
	s.lastNamed = now
	return s.contact(), s.usable(now), true
}

// noteSeen is noteAddrs for a server in the routing table, without new addresses.
// known is false if the server is not in the map.
func (m *Map) noteSeen(id peer.ID, now time.Time) (c contact, ok, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.byID[id]
	if s == nil {
		return contact{}, false, false
	}
	s.lastNamed = now
	return s.contact(), s.usable(now), true
}

// answer records that the server answered a request after rtt.
func (m *Map) answer(id peer.ID, rtt time.Duration, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.byID[id]
	if s == nil {
		if s = m.guests[id]; s == nil {
			return
		}
		s.answered = now
		if !m.add(s, now) {
			return
		}
		delete(m.guests, id)
	}
	m.prove(s)
	s.answered, s.failures = now, 0
	if s.rtt == 0 {
		s.rtt = rtt
	} else {
		s.rtt += (rtt - s.rtt) / 8
	}
}

// fail records that the server could not be reached or broke the protocol.
// Slowness is not a failure.
func (m *Map) fail(id peer.ID, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.guests, id)
	if s := m.byID[id]; s != nil {
		s.failed = now
		s.failures++
		if s.dead() {
			clear(m.full)
		}
	}
}

// contact is what a lookup needs to know about a server.
type contact struct {
	id    peer.ID
	key   keyspace.Key
	group netip.Prefix  // the IP group; the zero Prefix if it has no public address
	rtt   time.Duration // 0: unknown
	alive bool          // has answered, and not failed since
	seen  time.Time     // when it last answered or was named
}

func (s *server) contact() contact {
	seen := s.lastNamed
	if s.answered.After(seen) {
		seen = s.answered
	}
	return contact{s.id, s.key, s.group, s.rtt, !s.answered.IsZero() && s.failures == 0, seen}
}

// addrs returns the addresses of a server, nil if it is unknown.
func (m *Map) addrs(id peer.ID) []ma.Multiaddr {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.byID[id]
	if s == nil {
		s = m.guests[id]
	}
	if s == nil {
		return nil
	}
	return unpackAddrs(s.addrs)
}

// closest returns the n usable servers closest to the key, or all if there are fewer,
// in order of distance.
func (m *Map) closest(key keyspace.Key, n int, now time.Time) []contact {
	m.mu.RLock()
	defer m.mu.RUnlock()
	// Servers that share more leading bits with the key are closer, and are adjacent
	// in the list. Widen the range until it holds enough.
	for bits := m.commonBits(key); ; bits-- {
		near := m.region(keyspace.RegionOf(key, bits))
		if len(near) < n && bits > 0 {
			continue
		}
		var found []contact
		for _, s := range near {
			if s.usable(now) {
				found = append(found, s.contact())
			}
		}
		if len(found) < n && bits > 0 {
			continue
		}
		slices.SortFunc(found, func(a, b contact) int { return keyspace.Closer(key, a.key, b.key) })
		return found[:min(n, len(found))]
	}
}

// commonBits returns how many leading bits the key shares with the server closest to
// it. The caller holds the lock.
func (m *Map) commonBits(key keyspace.Key) int {
	at, bits := m.find(key), 0
	for _, i := range []int{at - 1, at} {
		if i >= 0 && i < len(m.sorted) {
			bits = max(bits, keyspace.CommonBits(key, m.sorted[i].key))
		}
	}
	return bits
}

// region returns the servers of a region as a slice of the sorted list. The caller
// must hold the lock while it uses the slice.
func (m *Map) region(r keyspace.Region) []*server {
	low := m.find(r.First())
	last := r.Last()
	high := low + sort.Search(len(m.sorted)-low, func(i int) bool { return m.sorted[low+i].key.Compare(last) > 0 })
	return m.sorted[low:high]
}

// within returns the usable servers of a region, sorted by key.
func (m *Map) within(r keyspace.Region, now time.Time) []contact {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []contact
	for _, s := range m.region(r) {
		if s.usable(now) {
			found = append(found, s.contact())
		}
	}
	return found
}

// packAddrs encodes a server's addresses, within the limits.
func packAddrs(addrs []ma.Multiaddr) [][]byte {
	var packed [][]byte
	total := 0
	for _, a := range addrs {
		b := a.Bytes()
		if len(b) == 0 || len(packed) == maxAddrs || total+len(b) > maxAddrBytes {
			continue
		}
		total += len(b)
		packed = append(packed, slices.Clone(b))
	}
	return packed
}

func unpackAddrs(packed [][]byte) []ma.Multiaddr {
	addrs := make([]ma.Multiaddr, 0, len(packed))
	for _, b := range packed {
		if a, err := ma.NewMultiaddrBytes(b); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// groupOf returns the IP group of a server, which approximates the owner of its
// addresses: the first 16 bits of a public IPv4 address or the first 32 of an IPv6
// one. A server without a public address has no group.
func groupOf(addrs []ma.Multiaddr) netip.Prefix {
	for _, a := range addrs {
		if !manet.IsPublicAddr(a) {
			continue
		}
		ip, err := manet.ToIP(a)
		if err != nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(ip)
		if !ok {
			continue
		}
		addr = addr.Unmap()
		bits := 32
		if addr.Is4() {
			bits = 16
		}
		if group, err := addr.Prefix(bits); err == nil {
			return group
		}
	}
	return netip.Prefix{}
}
