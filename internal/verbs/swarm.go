package verbs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleSwarm(m *rpc.Mux) {
	rpc.Handle(m, api.SwarmConnect, rpc.One(n.swarmConnect))
	rpc.Handle(m, api.SwarmPeers, rpc.One(n.swarmPeers))
	rpc.Handle(m, api.SwarmAddrs, rpc.One(n.swarmAddrs))
	rpc.Handle(m, api.SwarmAddrsLocal, rpc.One(n.swarmAddrsLocal))
	rpc.Handle(m, api.SwarmAddrsListen, rpc.One(n.swarmAddrsListen))
}

// swarmConnect implements the command.
func (n *verbs) swarmConnect(ctx context.Context, req api.SwarmConnectRequest) (api.Strings, error) {
	var peers []peer.AddrInfo
	for _, text := range req.Addresses {
		m, err := ma.NewMultiaddr(text)
		if err != nil {
			return api.Strings{}, err
		}
		info, err := peer.AddrInfoFromP2pAddr(m)
		if err != nil {
			return api.Strings{}, fmt.Errorf("address %q: %w", text, err)
		}
		peers = append(peers, *info)
	}
	if n.Host == nil {
		return api.Strings{}, api.ErrOffline
	}
	var out api.Strings
	for _, p := range peers {
		line := "connect " + p.ID.String()
		if err := n.Host.Connect(network.WithForceDirectDial(ctx, "asked for"), p); err != nil {
			return out, fmt.Errorf("%s failure: %w", line, err)
		}
		n.Network.Settle(ctx, p.ID)
		out.Strings = append(out.Strings, line+" success")
	}
	return out, nil
}

// swarmPeers implements the command.
func (n *verbs) swarmPeers(_ context.Context, req api.SwarmPeersRequest) (api.Peers, error) {
	if n.Host == nil {
		return api.Peers{}, api.ErrOffline
	}
	var out api.Peers
	for _, c := range n.Host.Network().Conns() {
		p := api.Peer{Addr: c.RemoteMultiaddr().String(), Peer: c.RemotePeer().String()}
		if req.Verbose || req.Latency {
			p.Latency = "n/a"
			if d := n.Host.Peerstore().LatencyEWMA(c.RemotePeer()); d > 0 {
				p.Latency = d.String()
			}
		}
		if req.Verbose || req.Direction {
			p.Direction = int(c.Stat().Direction)
		}
		if req.Verbose || req.Streams {
			for _, s := range c.GetStreams() {
				p.Streams = append(p.Streams, api.PeerStream{Protocol: string(s.Protocol())})
			}
			slices.SortFunc(p.Streams, func(a, b api.PeerStream) int { return strings.Compare(a.Protocol, b.Protocol) })
		}
		out.Peers = append(out.Peers, p)
	}
	slices.SortFunc(out.Peers, func(a, b api.Peer) int {
		return strings.Compare(a.Addr+a.Peer, b.Addr+b.Peer)
	})
	return out, nil
}

// swarmAddrs implements the command.
func (n *verbs) swarmAddrs(context.Context, api.SwarmAddrsRequest) (api.AddrMap, error) {
	if n.Host == nil {
		return api.AddrMap{}, api.ErrOffline
	}
	out := api.AddrMap{Addrs: map[string][]string{}}
	ps := n.Host.Peerstore()
	for _, p := range ps.PeersWithAddrs() {
		out.Addrs[p.String()] = texts(ps.Addrs(p))
	}
	return out, nil
}

// swarmAddrsLocal implements the command.
func (n *verbs) swarmAddrsLocal(_ context.Context, req api.SwarmAddrsLocalRequest) (api.Strings, error) {
	if n.Host == nil {
		return api.Strings{}, api.ErrOffline
	}
	list := texts(n.Host.Addrs())
	if req.ID {
		for i := range list {
			list[i] += "/p2p/" + n.Host.ID().String()
		}
	}
	return api.Strings{Strings: list}, nil
}

// swarmAddrsListen implements the command.
func (n *verbs) swarmAddrsListen(context.Context, api.SwarmAddrsListenRequest) (api.Strings, error) {
	if n.Host == nil {
		return api.Strings{}, api.ErrOffline
	}
	list, err := n.Host.Network().InterfaceListenAddresses()
	return api.Strings{Strings: texts(list)}, err
}

func texts(addrs []ma.Multiaddr) []string {
	list := make([]string, 0, len(addrs))
	for _, a := range addrs {
		list = append(list, a.String())
	}
	slices.Sort(list)
	return list
}
