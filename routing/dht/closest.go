package dht

import (
	"context"
	"fmt"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

// Closest returns the servers closest to a key that answer, at most 20, the closest first. It
// finds them as [Router.Put] does where the map cannot be trusted. For some minutes the host
// knows their addresses. If none answers, the error is that of Put.
func (r *Router) Closest(ctx context.Context, key []byte) ([]peer.ID, error) {
	p := r.newPut(ctx, key, nil)
	defer p.end()
	for {
		now := time.Now()
		for _, n := range p.next(replicas, putParallel, now) {
			p.ask(n, pb.Message_FIND_NODE, now)
		}
		p.survey()
		if p.converged(replicas, now) {
			p.widen(now)
		}
		if p.inFlight == 0 {
			break
		}
		e, err := p.wait(time.Time{})
		if err != nil {
			return nil, fmt.Errorf("looking for the servers closest to a key on %s: %w", r.network, err)
		}
		if e.kind != eventTime {
			p.handleAnswer(e)
		}
	}
	var found []peer.ID
	for _, n := range p.sorted {
		if n.state == answered && len(found) < replicas {
			r.host.Peerstore().AddAddrs(n.id, r.servers.addrs(n.id), peerstore.RecentlyConnectedAddrTTL)
			found = append(found, n.id)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("looking for the servers closest to a key on %s: %w", r.network, r.nobody())
	}
	return found, nil
}
