package dht

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
)

const (
	// rejoinPeers is how many servers of the map Rejoin dials, and rejoinTimeout how
	// long it may take.
	rejoinPeers   = 8
	rejoinTimeout = 10 * time.Second
)

// Joined reports whether a server of the routing table is connected. The table alone
// proves nothing: it keeps servers for a while after they have gone.
func (r *Router) Joined() bool {
	for _, p := range r.table.ListPeers() {
		if r.host.Network().Connectedness(p) == network.Connected {
			return true
		}
	}
	return false
}

// Rejoin dials the servers that answered most recently. Joined shows the result.
func (r *Router) Rejoin(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, rejoinTimeout)
	defer cancel()
	var dials sync.WaitGroup
	for _, p := range r.servers.latest(rejoinPeers, time.Now()) {
		dials.Go(func() { _ = r.Dial(ctx, p) })
	}
	dials.Wait()
}

// Dial connects the host to a peer, ignoring the dial backoff.
func (r *Router) Dial(ctx context.Context, p peer.AddrInfo) error {
	// After failures the backoff would block dials for up to five minutes.
	if s, ok := r.host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(p.ID)
	}
	return r.host.Connect(ctx, p)
}

// Rejoined must be called when the network is back. It clears the failures of all
// servers, since they happened while the network was away.
func (r *Router) Rejoined() {
	r.servers.clearFailures()
	r.kad.RefreshRoutingTable()
}

// Forget resets Answered to zero.
func (r *Router) Forget() { r.answered.Store(0) }

// Answered returns when any server in the Map last answered.
func (m *Map) Answered() (at time.Time) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, s := range m.sorted {
		at = later(at, s.answered)
	}
	return at
}

// lost counts the servers that answered within trustAge, have failed since, and are in
// their pause.
func (m *Map) lost(now time.Time) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	count := 0
	for _, s := range m.sorted {
		if !s.usable(now) && !s.answered.IsZero() && now.Sub(s.answered) < trustAge {
			count++
		}
	}
	return count
}

// latest returns up to n servers that answered within awayAge, the most recent first.
func (m *Map) latest(n int, now time.Time) []peer.AddrInfo {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var last []*server
	for _, s := range m.sorted {
		if !s.answered.IsZero() && now.Sub(s.answered) < awayAge {
			last = append(last, s)
		}
	}
	slices.SortFunc(last, func(a, b *server) int { return b.answered.Compare(a.answered) })
	infos := make([]peer.AddrInfo, 0, min(n, len(last)))
	for _, s := range last[:min(n, len(last))] {
		infos = append(infos, peer.AddrInfo{ID: s.id, Addrs: unpackAddrs(s.addrs)})
	}
	return infos
}

// connected notes that there is a connection to a server since then: one that failed before has
// come back, and its pause ends.
func (m *Map) connected(id peer.ID, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.byID[id]; s != nil && s.failed.Before(since) {
		s.failed = time.Time{}
	}
}

// clearFailures ends the pause of all servers that failed.
func (m *Map) clearFailures() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sorted {
		s.failed = time.Time{}
	}
}
