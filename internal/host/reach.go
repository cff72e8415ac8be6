package host

import (
	"context"
	"sync/atomic"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
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

// reachability tracks whether others can connect to this node.
type reachability struct {
	state atomic.Int32 // a network.Reachability
	sub   event.Subscription
	ended chan struct{}
}

func watchReachability(h host.Host) (*reachability, error) {
	sub, err := h.EventBus().Subscribe(new(event.EvtLocalReachabilityChanged))
	if err != nil {
		return nil, err
	}
	r := &reachability{sub: sub, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		for e := range sub.Out() {
			r.state.Store(int32(e.(event.EvtLocalReachabilityChanged).Reachability))
		}
	}()
	return r, nil
}

func (r *reachability) close() error {
	err := r.sub.Close()
	<-r.ended
	return err
}

// words describes whether others can fetch from a host.
func (r *reachability) words(h host.Host) string {
	return reachabilityWords(network.Reachability(r.state.Load()), h.Addrs())
}

// waysOut is what can help a node that others cannot connect to.
const waysOut = "forward the port of Addresses.Swarm in your router, use IPv6, " +
	"set a relay of your own, one without limits, in Swarm.RelayClient.StaticRelays, or pin the content on a host with a public address"

// reachabilityWords promises no more than is true: public relays connect nodes and carry
// a few messages, but no content, which other nodes do not send over a limited
// connection.
func reachabilityWords(state network.Reachability, addrs []ma.Multiaddr) string {
	public, relayed := false, false
	for _, a := range addrs {
		if _, err := a.ValueForProtocol(ma.P_CIRCUIT); err == nil {
			relayed = true
		} else if manet.IsPublicAddr(a) {
			public = true
		}
	}
	switch {
	case state == network.ReachabilityPublic:
		return "public: others can connect to this node"
	case relayed:
		return "private, known to relays: names work; content is fetched from here only by nodes to which hole punching makes a direct connection, " +
			"which fails where both routers give each connection a port of its own; public relays carry no content. For all others: " + waysOut
	case state == network.ReachabilityPrivate:
		return "private: names work; others may not be able to fetch content from here: " + waysOut
	case public:
		return "unknown yet: this node has a public address, nobody has tried to connect so far"
	}
	return "unknown yet: only local addresses are known, nobody has tried to connect so far"
}
