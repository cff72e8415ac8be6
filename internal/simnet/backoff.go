package simnet

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// As in go-libp2p's swarm, a peer whose dial failed is not dialled again for backoffBase
// plus a second times the square of the earlier failures. Every backoffMax, the host
// forgets failures whose pause ended at least that pause ago.
const (
	backoffBase = 5 * time.Second
	backoffStep = time.Second
	backoffMax  = 5 * time.Minute
)

// dialBackoff remembers the failed dials of a host. Its caller locks.
type dialBackoff struct {
	start time.Time
	peers map[peer.ID]failedDials
}

type failedDials struct {
	count int
	until time.Time
}

func newDialBackoff() *dialBackoff {
	return &dialBackoff{start: time.Now(), peers: map[peer.ID]failedDials{}}
}

func backoffPause(failures int) time.Duration {
	return min(backoffBase+backoffStep*time.Duration(failures*failures), backoffMax)
}

// refuses reports whether p must not be dialled now.
func (b *dialBackoff) refuses(p peer.ID) bool { return time.Now().Before(b.peers[p].until) }

func (b *dialBackoff) failed(p peer.ID) {
	now := time.Now()
	f := b.peers[p]
	lastSweep := now.Add(-(now.Sub(b.start) % backoffMax))
	if !lastSweep.Before(f.until.Add(backoffPause(f.count))) {
		f.count = 0
	}
	b.peers[p] = failedDials{f.count + 1, now.Add(backoffPause(f.count))}
}

func (b *dialBackoff) connected(p peer.ID) { delete(b.peers, p) }
