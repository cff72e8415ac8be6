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
	// MaxServers is how many servers a Map remembers: with all that belongs to
	// them less than 32 MiB.
	MaxServers = 25_000

	// maxGroupServers is how many servers of one IP group a Map remembers: whoever owns
	// addresses of one network cannot fill the map with servers of his own.
	maxGroupServers = MaxServers / 25

	// maxUnproven is how many servers that never answered a Map remembers because one
	// server named them first: whoever makes up servers does not fill the map.
	maxUnproven = MaxServers / 25

	// maxGuests is how many servers are kept for a while for which the map has no
	// room: those that a few lookups are about to ask.
	maxGuests = 2000

	// maxAddrs and maxAddrBytes bound what is kept of one server's addresses.
	maxAddrs     = 8
	maxAddrBytes = 400

	// A server that failed is left alone for deadPause, twice as long after each
	// further failure, up to deadPauseMax.
	deadPause    = 5 * time.Minute
	deadPauseMax = 24 * time.Hour

	// A server that has neither answered nor been named by another for staleAfter
	// makes room for a new one, and so does one that failed: at once if it has never
	// answered, else when it has failed deadFailures times in a row.
	staleAfter   = 48 * time.Hour
	deadFailures = 3

	// evictPause is how long a Map without room does not look again for servers that
	// are stale.
	evictPause = time.Minute
)

// A Map is what a client knows of the servers of one DHT: who they are, where in
// the key space, how to reach them, and how they behaved. It answers which known
// servers are closest to a key without asking anybody.
//
// It is fed by every answer of every lookup. It is bounded, as a whole, for each
// IP group, and in what one server may name. When it is full, a dead or long
// unheard-of server makes room, and if there is none the new one is a guest: it can
// be asked for a while. Once it answers, it takes the place of one that was only
// named: whoever makes up servers keeps no real one out. All methods are safe for
// concurrent use.
type Map struct {
	mu       sync.RWMutex
	byID     map[peer.ID]*server
	sorted   []*server                  // by key
	groups   map[netip.Prefix]int       // how many servers each IP group has
	unproven map[peer.ID]int            // how many that never answered each server has named
	guests   map[peer.ID]*server        // at most maxGuests
	queue    []peer.ID                  // of the guests, the longest here first
	full     map[netip.Prefix]time.Time // when a group, or all, had nobody to forget
}

// server is what the Map knows of one server. Its id and key never change; the
// rest is guarded by the Map.
type server struct {
	id    peer.ID
	key   keyspace.Key
	addrs [][]byte // binary multiaddrs
	said  uint64   // hash of the addresses as they were last named; 0: unknown
	group netip.Prefix
	namer peer.ID // who named it first, until it answers; "": nobody who counts

	lastNamed time.Time     // when another last named it
	answered  time.Time     // when it last answered
	failed    time.Time     // when it last failed, after it last answered
	failures  int           // since it last answered
	rtt       time.Duration // of requests, smoothed; 0: unknown
}

// usable reports whether the server is worth a request.
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

// Len is how many servers the Map knows, the dead included.
func (m *Map) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.sorted)
}

// find returns the place of key in the sorted list. The caller holds the lock.
func (m *Map) find(key keyspace.Key) int {
	return sort.Search(len(m.sorted), func(i int) bool { return m.sorted[i].key.Compare(key) >= 0 })
}

// hear notes that a server has these addresses. ok is false if it is not worth a
// request: without an address, known to be dead.
func (m *Map) noteAddrs(id peer.ID, addrs []ma.Multiaddr, now time.Time) (c contact, ok bool) {
	return m.noteNamed(id, "", 0, addrs, now)
}

// noteNamed is hear for a server that namer named. said is the hash of the
// addresses as they were named, of which addrs are those that are of use.
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

// noteUnchanged is noteNamed for a server that is known and was last named with just
// these addresses: they need not be looked at.
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

// noteSeen is hear for a server of which nothing is said but that it is there. known
// is false if the map knows no address of it.
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

// answer notes that the server answered a request after rtt.
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

// fail notes that the server could not be reached or did not behave as a server
// does. That it was slow is no failure.
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

// contact is what a lookup needs to know of a server.
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

// closest returns the n usable servers that are closest to the key, or all if
// there are fewer, the closest first.
func (m *Map) closest(key keyspace.Key, n int, now time.Time) []contact {
	m.mu.RLock()
	defer m.mu.RUnlock()
	// Servers that share more leading bits with the key are closer, and lie next
	// to each other. The range is widened until it holds enough.
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

// commonBits is the number of leading bits that the key shares with the server
// closest to it. The caller holds the lock.
func (m *Map) commonBits(key keyspace.Key) int {
	at, bits := m.find(key), 0
	for _, i := range []int{at - 1, at} {
		if i >= 0 && i < len(m.sorted) {
			bits = max(bits, keyspace.CommonBits(key, m.sorted[i].key))
		}
	}
	return bits
}

// region returns the servers in a region, a part of the sorted list. The caller
// holds the lock as long as it uses it.
func (m *Map) region(r keyspace.Region) []*server {
	low := m.find(r.First())
	last := r.Last()
	high := low + sort.Search(len(m.sorted)-low, func(i int) bool { return m.sorted[low+i].key.Compare(last) > 0 })
	return m.sorted[low:high]
}

// within returns the usable servers of a region in the order of their keys.
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

// packAddrs keeps what is to be kept of a server's addresses.
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

// groupOf tells which addresses belong to one owner, roughly: the first 16 bits
// of a public IPv4 address, the first 32 of an IPv6 one. A server that has no
// public address belongs to no group.
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
