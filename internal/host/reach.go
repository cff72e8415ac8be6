package host

import (
	"context"
	"sync/atomic"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/internal/reach"
	"github.com/goipns/ipns/internal/repo"
)

// relaySource finds relays among the peers of the DHT, which starts after the host.
type relaySource struct {
	dht atomic.Pointer[kaddht.IpfsDHT]
}

// peers yields up to n peers that may be relays: those closest to this node.
func (s *relaySource) peers(ctx context.Context, n int) <-chan peer.AddrInfo {
	found := make(chan peer.AddrInfo)
	go func() { // ends with the lookup, or with ctx
		defer close(found)
		d := s.dht.Load()
		if d == nil {
			return
		}
		closest, err := d.GetClosestPeers(ctx, string(d.PeerID()))
		if err != nil {
			return
		}
		for _, p := range closest[:min(n, len(closest))] {
			select {
			case found <- d.Host().Peerstore().PeerInfo(p):
			case <-ctx.Done():
				return
			}
		}
	}()
	return found
}

// watchReach follows how others reach the host.
func (n *Network) watchReach(c *repo.Config) error {
	o := reach.Options{NoPunching: !repo.On(c.Swarm.EnableHolePunching)}
	var err error
	if repo.On(c.Swarm.RelayClient.Enabled) {
		if o.Relays, err = ParseBootstrap(c.Swarm.RelayClient.StaticRelays); err != nil {
			return err
		}
	}
	if n.reach, err = reach.Watch(n.Host.Host, o); err != nil {
		return err
	}
	n.closers = append(n.closers, n.reach.Close)
	return nil
}

// Reachability is who can fetch from this node, which must not be offline.
func (n *Network) Reachability() reach.Verdict { return n.reach.Verdict() }

// ReachabilityChanged receives a value when that has changed. It has one reader.
func (n *Network) ReachabilityChanged() <-chan struct{} { return n.reach.Changed() }
