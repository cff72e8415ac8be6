package dht

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// proven reports whether the server has ever answered a request.
func (s *server) proven() bool { return !s.answered.IsZero() }

// dead reports whether the server may be replaced by any other.
func (s *server) dead() bool {
	return s.failures >= deadFailures || s.failures > 0 && !s.proven()
}

// add adds a server, making room for it if need be, and reports whether it could. The
// caller holds the lock.
func (m *Map) add(s *server, now time.Time) bool {
	if !s.proven() && s.namer != "" && m.unproven[s.namer] >= maxUnproven {
		return false
	}
	if !m.admits(s.group, s.proven(), now) ||
		len(m.sorted) >= MaxServers && !m.makeRoom(netip.Prefix{}, s.proven(), now) {
		return false
	}
	if m.byID == nil {
		m.byID = make(map[peer.ID]*server)
		m.groups = make(map[netip.Prefix]int)
		m.unproven = make(map[peer.ID]int)
	}
	m.byID[s.id] = s
	m.groups[s.group]++
	if s.proven() {
		s.namer = ""
	}
	if s.namer != "" {
		m.unproven[s.namer]++
	}
	m.sorted = slices.Insert(m.sorted, m.find(s.key), s)
	return true
}

// addGuest adds a guest. Beyond maxGuests the oldest guest is dropped. The caller
// holds the lock.
func (m *Map) addGuest(s *server) {
	if m.guests == nil {
		m.guests = make(map[peer.ID]*server)
	}
	if m.guests[s.id] == nil {
		m.queue = append(m.queue, s.id)
	}
	m.guests[s.id] = s
	for len(m.queue) > maxGuests {
		delete(m.guests, m.queue[0])
		m.queue = m.queue[1:]
	}
}

// prove stops counting a server as unproven. The caller holds the lock.
func (m *Map) prove(s *server) {
	if s.namer == "" {
		return
	}
	if m.unproven[s.namer]--; m.unproven[s.namer] == 0 {
		delete(m.unproven, s.namer)
	}
	s.namer = ""
}

// admits reports whether an IP group has room for one more server, making room if
// need be. The caller holds the lock.
func (m *Map) admits(group netip.Prefix, proven bool, now time.Time) bool {
	return !group.IsValid() || m.groups[group] < maxGroupServers || m.makeRoom(group, proven, now)
}

// move moves a server to another IP group if that has room, and reports whether it
// could. The caller holds the lock.
func (m *Map) move(s *server, group netip.Prefix, now time.Time) bool {
	if group == s.group {
		return true
	}
	if !m.admits(group, s.proven(), now) {
		return false
	}
	m.leave(s.group)
	s.group = group
	m.groups[group]++
	return true
}

// leave decrements the server count of an IP group. The caller holds the lock.
func (m *Map) leave(group netip.Prefix) {
	if m.groups[group]--; m.groups[group] == 0 {
		delete(m.groups, group)
	}
}

// makeRoom removes servers of an IP group (any group, if it is the zero Prefix) to
// make room for another, and reports whether it could. It removes dead and stale
// servers. If there are none and the new server is proven, it removes one unproven
// server. The caller holds the lock.
func (m *Map) makeRoom(group netip.Prefix, proven bool, now time.Time) bool {
	among := func(s *server) bool { return !group.IsValid() || s.group == group }
	if since := now.Sub(m.full[group]); since < 0 || since >= evictPause {
		if m.evict(among, now) {
			return true
		}
		if m.full == nil || len(m.full) > MaxServers/maxGroupServers {
			m.full = make(map[netip.Prefix]time.Time)
		}
		m.full[group] = now
	}
	if !proven {
		return false
	}
	start := rand.IntN(len(m.sorted))
	for i := range m.sorted {
		at := (start + i) % len(m.sorted)
		if s := m.sorted[at]; !s.proven() && among(s) {
			m.forget(s)
			m.sorted = slices.Delete(m.sorted, at, at+1)
			return true
		}
	}
	return false
}

// evict removes the dead and stale servers among those selected, and reports whether
// there were any. The caller holds the lock.
func (m *Map) evict(among func(*server) bool, now time.Time) bool {
	before := len(m.sorted)
	m.sorted = slices.DeleteFunc(m.sorted, func(s *server) bool {
		fresh := now.Sub(s.lastNamed) < staleAfter || now.Sub(s.answered) < staleAfter
		if fresh && !s.dead() || !among(s) {
			return false
		}
		m.forget(s)
		return true
	})
	return len(m.sorted) < before
}

// forget removes a server from everything except the sorted list. The caller holds
// the lock.
func (m *Map) forget(s *server) {
	delete(m.byID, s.id)
	m.leave(s.group)
	m.prove(s)
}
