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
	// rejoinPeers is how many servers of the map are dialled to join by them, and
	// rejoinTimeout how long that may take.
	rejoinPeers   = 8
	rejoinTimeout = 10 * time.Second
)

// Joined reports whether a server of the routing table is connected. The table
// alone does not tell: who is gone stays in it for a while.
func (r *Router) Joined() bool {
	for _, p := range r.table.ListPeers() {
		if r.host.Network().Connectedness(p) == network.Connected {
			return true
		}
	}
	return false
}

// Rejoin dials the servers that answered last.
func (r *Router) Rejoin(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, rejoinTimeout)
	defer cancel()
	var dials sync.WaitGroup
	for _, p := range r.servers.latest(rejoinPeers, time.Now()) {
		dials.Go(func() { _ = r.Dial(ctx, p) }) // Joined tells what came of it
	}
	dials.Wait()
}

// Dial connects the host of the Router to a peer, however often that has failed.
func (r *Router) Dial(ctx context.Context, p peer.AddrInfo) error {
	// The host would leave a peer alone for up to five minutes after failures.
	if s, ok := r.host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(p.ID)
	}
	return r.host.Connect(ctx, p)
}

// Rejoined tells that the network is back: what failed while it was away says
// nothing of the servers.
func (r *Router) Rejoined() {
	r.servers.clearFailures()
	r.kad.RefreshRoutingTable()
}

// Forget takes back that a server has answered.
func (r *Router) Forget() { r.answered.Store(0) }

// Answered is when a server last answered, of those that the Map knows.
func (m *Map) Answered() (at time.Time) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, s := range m.sorted {
		at = later(at, s.answered)
	}
	return at
}

// lost counts the servers that answered within trustAge, failed since, and are left
// alone for now.
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

// latest returns the servers that answered last, n at most, within awayAge.
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

// clearFailures has all servers asked again that were left alone because they failed.
func (m *Map) clearFailures() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sorted {
		s.failed = time.Time{}
	}
}
