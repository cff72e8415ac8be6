package verbs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleSwarm(m *rpc.Mux) {
	rpc.Handle(m, api.SwarmConnect, rpc.One(n.swarmConnect))
	rpc.Handle(m, api.SwarmDisconnect, rpc.One(n.swarmDisconnect))
	rpc.Handle(m, api.SwarmPeers, rpc.One(n.swarmPeers))
	rpc.Handle(m, api.SwarmAddrs, rpc.One(n.swarmAddrs))
	rpc.Handle(m, api.SwarmAddrsLocal, rpc.One(n.swarmAddrsLocal))
	rpc.Handle(m, api.SwarmAddrsListen, rpc.One(n.swarmAddrsListen))
	rpc.Handle(m, api.SwarmAddrsAutoNAT, rpc.One(n.swarmAutoNAT))
	rpc.Handle(m, api.SwarmFilters, rpc.One(n.swarmFilters))
	rpc.Handle(m, api.SwarmFiltersAdd, rpc.One(n.swarmFiltersAdd))
	rpc.Handle(m, api.SwarmFiltersRm, rpc.One(n.swarmFiltersRm))
	rpc.Handle(m, api.SwarmResources, rpc.One(n.swarmResources))
	rpc.Handle(m, api.SwarmPeeringAdd, n.peeringAdd)
	rpc.Handle(m, api.SwarmPeeringLs, rpc.One(n.peeringLs))
	rpc.Handle(m, api.SwarmPeeringRm, n.peeringRm)
}

// swarmConnect implements the command.
func (n *verbs) swarmConnect(ctx context.Context, req api.SwarmConnectRequest) (api.Strings, error) {
	peers, err := n.parsePeers(ctx, req.Addresses)
	if err != nil {
		return api.Strings{}, err
	}
	if n.Host == nil {
		return api.Strings{}, api.ErrOffline
	}
	var out api.Strings
	for _, p := range peers {
		line := "connect " + p.ID.String()
		n.forgetBackoff(p.ID)
		dial := network.WithForceDirectDial(ctx, "asked for")
		if slices.ContainsFunc(p.Addrs, isRelayed) {
			dial = ctx
		}
		if err := n.Host.Connect(dial, p); err != nil {
			return out, fmt.Errorf("%s failure: %w", line, err)
		}
		n.Network.Settle(ctx, p.ID)
		out.Strings = append(out.Strings, line+" success")
	}
	return out, nil
}

// isRelayed reports whether an address is that of a relay in between.
func isRelayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// forgetBackoff makes the next dial of a peer a real one, though others failed just now.
func (n *verbs) forgetBackoff(p peer.ID) {
	if s, ok := n.Host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p)
	}
}

// Texts of Kubo's.
var (
	errNotConnected = errors.New("not connected")
	errNoConn       = errors.New("conn not found")
)

// swarmDisconnect implements the command.
func (n *verbs) swarmDisconnect(ctx context.Context, req api.SwarmConnectRequest) (api.Strings, error) {
	peers, err := n.parsePeers(ctx, req.Addresses)
	if err != nil {
		return api.Strings{}, err
	}
	if n.Host == nil {
		return api.Strings{}, api.ErrOffline
	}
	var out api.Strings
	for _, p := range peers {
		addrs := p.Addrs
		if len(addrs) == 0 {
			addrs = []ma.Multiaddr{nil} // all connections
		}
		for _, a := range addrs {
			line := "disconnect " + p.ID.String()
			if err := n.disconnect(p.ID, a); err != nil {
				line += " failure: " + err.Error()
			} else {
				line += " success"
			}
			out.Strings = append(out.Strings, line)
		}
	}
	return out, nil
}

// disconnect closes the connections to a peer at an address; nil: all.
func (n *verbs) disconnect(p peer.ID, a ma.Multiaddr) error {
	net := n.Host.Network()
	if len(net.ConnsToPeer(p)) == 0 { // over a limited relay it has one, though it is not Connected
		return errNotConnected
	}
	if a == nil {
		return net.ClosePeer(p)
	}
	for _, c := range net.ConnsToPeer(p) {
		if c.RemoteMultiaddr().Equal(a) {
			return c.Close()
		}
	}
	return errNoConn
}

// resolveTimeout bounds how long the addresses of one command are resolved.
const resolveTimeout = 10 * time.Second

// parsePeers reads the addresses of peers. One that does not end with a peer id is a name
// that the DNS has such addresses for.
func (n *verbs) parsePeers(ctx context.Context, texts []string) ([]peer.AddrInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	var addrs []ma.Multiaddr
	for _, text := range texts {
		m, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, err
		}
		if _, last := ma.SplitLast(m); last != nil && last.Protocol().Code == ma.P_P2P {
			addrs = append(addrs, m)
			continue
		}
		if n.Host == nil {
			return nil, api.ErrOffline
		}
		found, err := n.Network.Host.DNS.Resolve(ctx, m)
		if err != nil {
			return nil, err
		}
		has := len(addrs)
		for _, a := range found {
			if _, last := ma.SplitLast(a); last != nil && last.Protocol().Code == ma.P_P2P {
				addrs = append(addrs, a)
			}
		}
		if len(addrs) == has {
			return nil, fmt.Errorf("found no ipfs peers at %s", m)
		}
	}
	return peer.AddrInfosFromP2pAddrs(addrs...)
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
		if req.Verbose || req.Identify {
			p.Identify = identity(n.Host, c.RemotePeer())
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
