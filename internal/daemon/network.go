package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns/rpc"
)

// dhtMode reads the config's Routing.Type.
func dhtMode(kind string) (kaddht.ModeOpt, error) {
	switch kind {
	case "", "auto", "dht":
		return kaddht.ModeAuto, nil
	case "dhtclient", "autoclient":
		return kaddht.ModeClient, nil
	case "dhtserver":
		return kaddht.ModeServer, nil
	}
	return 0, fmt.Errorf("config Routing.Type is %q: use auto, dht, dhtclient or dhtserver", kind)
}

// settleTime bounds how long SwarmConnect waits until a new peer that serves a
// DHT is known to it, so that what is published next reaches it.
const settleTime = time.Second

// SwarmConnect implements [rpc.Network].
func (n *Node) SwarmConnect(ctx context.Context, req rpc.SwarmConnectRequest) (rpc.Strings, error) {
	var peers []peer.AddrInfo
	for _, text := range req.Addresses {
		m, err := ma.NewMultiaddr(text)
		if err != nil {
			return rpc.Strings{}, err
		}
		info, err := peer.AddrInfoFromP2pAddr(m)
		if err != nil {
			return rpc.Strings{}, fmt.Errorf("address %q: %w", text, err)
		}
		peers = append(peers, *info)
	}
	if n.host == nil {
		return rpc.Strings{}, rpc.ErrOffline
	}
	var out rpc.Strings
	for _, p := range peers {
		line := "connect " + p.ID.String()
		if err := n.host.Connect(network.WithForceDirectDial(ctx, "asked for"), p); err != nil {
			return out, fmt.Errorf("%s failure: %w", line, err)
		}
		n.settle(ctx, p.ID)
		out.Strings = append(out.Strings, line+" success")
	}
	return out, nil
}

// settle waits until a connected peer that serves a DHT is in its table.
func (n *Node) settle(ctx context.Context, p peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		serves, err := n.host.Peerstore().SupportsProtocols(p, "/ipfs/kad/1.0.0", "/ipfs/lan/kad/1.0.0")
		known := n.dht.Dual.LAN.RoutingTable().Find(p) != "" || n.dht.Dual.WAN.RoutingTable().Find(p) != ""
		if err != nil || len(serves) > 0 && known {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// SwarmPeers implements [rpc.Network].
func (n *Node) SwarmPeers(_ context.Context, req rpc.SwarmPeersRequest) (rpc.Peers, error) {
	if n.host == nil {
		return rpc.Peers{}, rpc.ErrOffline
	}
	var out rpc.Peers
	for _, c := range n.host.Network().Conns() {
		p := rpc.Peer{Addr: c.RemoteMultiaddr().String(), Peer: c.RemotePeer().String()}
		if req.Verbose || req.Latency {
			p.Latency = "n/a"
			if d := n.host.Peerstore().LatencyEWMA(c.RemotePeer()); d > 0 {
				p.Latency = d.String()
			}
		}
		if req.Verbose || req.Direction {
			p.Direction = int(c.Stat().Direction)
		}
		if req.Verbose || req.Streams {
			for _, s := range c.GetStreams() {
				p.Streams = append(p.Streams, rpc.PeerStream{Protocol: string(s.Protocol())})
			}
			slices.SortFunc(p.Streams, func(a, b rpc.PeerStream) int { return strings.Compare(a.Protocol, b.Protocol) })
		}
		out.Peers = append(out.Peers, p)
	}
	slices.SortFunc(out.Peers, func(a, b rpc.Peer) int {
		return strings.Compare(a.Addr+a.Peer, b.Addr+b.Peer)
	})
	return out, nil
}

// SwarmAddrs implements [rpc.Network].
func (n *Node) SwarmAddrs(context.Context, rpc.SwarmAddrsRequest) (rpc.AddrMap, error) {
	if n.host == nil {
		return rpc.AddrMap{}, rpc.ErrOffline
	}
	out := rpc.AddrMap{Addrs: map[string][]string{}}
	ps := n.host.Peerstore()
	for _, p := range ps.PeersWithAddrs() {
		out.Addrs[p.String()] = texts(ps.Addrs(p))
	}
	return out, nil
}

// SwarmAddrsLocal implements [rpc.Network].
func (n *Node) SwarmAddrsLocal(_ context.Context, req rpc.SwarmAddrsLocalRequest) (rpc.Strings, error) {
	if n.host == nil {
		return rpc.Strings{}, rpc.ErrOffline
	}
	list := texts(n.host.Addrs())
	if req.ID {
		for i := range list {
			list[i] += "/p2p/" + n.host.ID().String()
		}
	}
	return rpc.Strings{Strings: list}, nil
}

// SwarmAddrsListen implements [rpc.Network].
func (n *Node) SwarmAddrsListen(context.Context, rpc.SwarmAddrsListenRequest) (rpc.Strings, error) {
	if n.host == nil {
		return rpc.Strings{}, rpc.ErrOffline
	}
	list, err := n.host.Network().InterfaceListenAddresses()
	return rpc.Strings{Strings: texts(list)}, err
}

func texts(addrs []ma.Multiaddr) []string {
	list := make([]string, 0, len(addrs))
	for _, a := range addrs {
		list = append(list, a.String())
	}
	slices.Sort(list)
	return list
}
