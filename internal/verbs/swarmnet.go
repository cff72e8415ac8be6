package verbs

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns/api"
)

// swarmAutoNAT implements the command.
func (n *verbs) swarmAutoNAT(context.Context, api.SwarmAutoNATRequest) (api.AutoNAT, error) {
	if n.Host == nil {
		return api.AutoNAT{}, api.ErrNotOnline
	}
	v := n.Network.Reachability()
	out := api.AutoNAT{Reachability: v.State.String(), Meaning: v.Words, Fetch: string(v.Fetch), UDP: string(v.UDP), TCP: string(v.TCP)}
	if h, ok := n.Network.Host.Host.(interface {
		ConfirmedAddrs() (reachable, unreachable, unknown []ma.Multiaddr)
	}); ok {
		reachable, unreachable, unknown := h.ConfirmedAddrs()
		out.Reachable, out.Unreachable, out.Unknown = texts(reachable), texts(unreachable), texts(unknown)
	}
	return out, nil
}

// swarmFilters implements the command.
func (n *verbs) swarmFilters(context.Context, api.SwarmFiltersRequest) (api.Strings, error) {
	if n.Host == nil {
		return api.Strings{}, api.ErrNotOnline
	}
	return api.Strings{Strings: n.Network.Filters()}, nil
}

// swarmFiltersAdd implements the command.
func (n *verbs) swarmFiltersAdd(_ context.Context, req api.SwarmFiltersChange) (api.Strings, error) {
	if n.Host == nil {
		return api.Strings{}, api.ErrNotOnline
	}
	list, err := n.Network.AddFilters(req.Ranges)
	return api.Strings{Strings: list}, err
}

// swarmFiltersRm implements the command.
func (n *verbs) swarmFiltersRm(_ context.Context, req api.SwarmFiltersChange) (api.Strings, error) {
	if n.Host == nil {
		return api.Strings{}, api.ErrNotOnline
	}
	list, err := n.Network.RemoveFilters(req.Ranges)
	return api.Strings{Strings: list}, err
}

// peeringAdd implements the command.
func (n *verbs) peeringAdd(_ context.Context, req api.PeeringAddRequest) iter.Seq2[api.Peered, error] {
	return func(yield func(api.Peered, error) bool) {
		var addrs []ma.Multiaddr
		for _, text := range req.Addresses {
			m, err := ma.NewMultiaddr(text)
			if err != nil {
				yield(api.Peered{}, err)
				return
			}
			addrs = append(addrs, m)
		}
		peers, err := peer.AddrInfosFromP2pAddrs(addrs...)
		if err == nil && n.Host == nil {
			err = api.ErrNotOnline
		}
		if err != nil {
			yield(api.Peered{}, err)
			return
		}
		for _, p := range peers {
			n.Network.Peering.AddPeer(p)
			if !yield(api.Peered{ID: p.ID.String(), Status: "success"}, nil) {
				return
			}
		}
	}
}

// peeringLs implements the command.
func (n *verbs) peeringLs(context.Context, api.PeeringListRequest) (api.PeeringPeers, error) {
	if n.Host == nil {
		return api.PeeringPeers{}, api.ErrNotOnline
	}
	out := api.PeeringPeers{Peers: []api.PeerAddrs{}}
	for _, p := range n.Network.Peering.ListPeers() {
		out.Peers = append(out.Peers, peerAddrs(p))
	}
	return out, nil
}

// peeringRm implements the command.
func (n *verbs) peeringRm(_ context.Context, req api.PeeringRemoveRequest) iter.Seq2[api.Peered, error] {
	return func(yield func(api.Peered, error) bool) {
		if n.Host == nil {
			yield(api.Peered{}, api.ErrNotOnline)
			return
		}
		for _, text := range req.Peers {
			p, err := peer.Decode(text)
			if err != nil {
				yield(api.Peered{}, err)
				return
			}
			n.Network.Peering.RemovePeer(p)
			if !yield(api.Peered{ID: p.String(), Status: "success"}, nil) {
				return
			}
		}
	}
}

// swarmResources implements the command.
func (n *verbs) swarmResources(context.Context, api.SwarmResourcesRequest) (api.Resources, error) {
	if n.Host == nil {
		return api.Resources{}, api.ErrNotOnline
	}
	limits, used, err := n.Network.Host.Limits.State()
	if err != nil {
		return api.Resources{}, err
	}
	return api.Resources{
		System:    resourceScope(limits.System, used.System),
		Transient: resourceScope(limits.Transient, used.Transient),
		Services:  scopes(limits.Service, used.Services, func(s string) string { return s }),
		Protocols: scopes(limits.Protocol, used.Protocols, func(p protocol.ID) string { return string(p) }),
		Peers:     scopes(limits.Peer, used.Peers, peer.ID.String),
	}, nil
}

// scopes are those that have limits or are used.
func scopes[K comparable](limits map[K]rcmgr.ResourceLimits, used map[K]network.ScopeStat, name func(K) string) map[string]api.ResourceScope {
	out := map[string]api.ResourceScope{}
	for _, k := range slices.AppendSeq(slices.Collect(maps.Keys(limits)), maps.Keys(used)) {
		out[name(k)] = resourceScope(limits[k], used[k])
	}
	return out
}

func resourceScope(l rcmgr.ResourceLimits, s network.ScopeStat) api.ResourceScope {
	return api.ResourceScope{
		Memory: limit(l.Memory), MemoryUsage: s.Memory,
		FD: limit(l.FD), FDUsage: s.NumFD,
		Conns: limit(l.Conns), ConnsUsage: s.NumConnsInbound + s.NumConnsOutbound,
		ConnsInbound: limit(l.ConnsInbound), ConnsInboundUsage: s.NumConnsInbound,
		ConnsOutbound: limit(l.ConnsOutbound), ConnsOutboundUsage: s.NumConnsOutbound,
		Streams: limit(l.Streams), StreamsUsage: s.NumStreamsInbound + s.NumStreamsOutbound,
		StreamsInbound: limit(l.StreamsInbound), StreamsInboundUsage: s.NumStreamsInbound,
		StreamsOutbound: limit(l.StreamsOutbound), StreamsOutboundUsage: s.NumStreamsOutbound,
	}
}

// limit is a limit as libp2p writes it in JSON: a number or a word.
func limit(l json.Marshaler) (v any) {
	b, err := l.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		panic(err) // it has no other values
	}
	return v
}
