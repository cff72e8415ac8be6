package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/repo"
)

// Connections that the host keeps if the config does not say: between these
// numbers nobody is sent away, nor in the first seconds.
const (
	connsLow   = 32
	connsHigh  = 96
	connsGrace = 20 * time.Second
)

// newHost starts a libp2p host with what Kubo has for the public network: NAT
// port mapping, AutoNAT v1 and v2, a relay client with relays from relays, hole
// punching, limits for resources and connections.
func newHost(key crypto.PrivKey, c *repo.Config, relays func(context.Context, int) <-chan peer.AddrInfo) (host.Host, error) {
	filters, err := parseRanges(c.Swarm.AddrFilters)
	if err != nil {
		return nil, fmt.Errorf("config Swarm.AddrFilters: %w", err)
	}
	announce, err := newAnnouncer(c.Addresses)
	if err != nil {
		return nil, err
	}
	conns, err := connmgr.NewConnManager(
		cmp.Or(c.Swarm.ConnMgr.LowWater, connsLow),
		cmp.Or(c.Swarm.ConnMgr.HighWater, connsHigh),
		connmgr.WithGracePeriod(cmp.Or(time.Duration(c.Swarm.ConnMgr.GracePeriod), connsGrace)))
	if err != nil {
		return nil, fmt.Errorf("config Swarm.ConnMgr: %w", err)
	}
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.AutoScale()))
	if err != nil {
		return nil, err
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.UserAgent(Agent),
		libp2p.ListenAddrStrings(c.Addresses.Swarm...),
		libp2p.AddrsFactory(announce.addrs),
		libp2p.ConnectionGater(filters),
		libp2p.ConnectionManager(conns),
		libp2p.ResourceManager(resources),
		// Noise first: TLS, and QUIC with it, refuses servers whose certificates begin
		// after what a clock that is an hour behind takes for now, and then nobody could
		// be asked what time it is.
		libp2p.Security(noise.ID, noise.New),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.EnableNATService(),
		libp2p.EnableAutoNATv2(),
	}
	if !c.Swarm.DisableNatPortMap {
		options = append(options, libp2p.NATPortMap())
	}
	if enabled(c.Swarm.RelayClient.Enabled) {
		relay, err := relayOption(c.Swarm.RelayClient.StaticRelays, relays)
		if err != nil {
			return nil, errors.Join(err, resources.Close())
		}
		options = append(options, relay)
		if enabled(c.Swarm.EnableHolePunching) {
			options = append(options, libp2p.EnableHolePunching())
		}
	}
	h, err := libp2p.New(options...)
	if err != nil {
		return nil, errors.Join(listenError(c.Addresses.Swarm, err), resources.Close())
	}
	return h, nil
}

// relayOption uses the given relays, or those that are found.
func relayOption(static []string, found func(context.Context, int) <-chan peer.AddrInfo) (libp2p.Option, error) {
	if len(static) == 0 {
		return libp2p.EnableAutoRelayWithPeerSource(found), nil
	}
	peers, err := ParseBootstrap(static)
	if err != nil {
		return nil, fmt.Errorf("config Swarm.RelayClient.StaticRelays: %w", err)
	}
	return libp2p.EnableAutoRelayWithStaticRelays(peers), nil
}

func listenError(addrs []string, err error) error {
	if strings.Contains(err.Error(), "address already in use") {
		return fmt.Errorf("cannot listen on %s: the port is taken; choose another with 'ipns config --json Addresses.Swarm [...]'", strings.Join(addrs, ", "))
	}
	return fmt.Errorf("start the libp2p host on %s: %w", strings.Join(addrs, ", "), err)
}

// enabled reads a switch that is on unless it is set.
func enabled(b *bool) bool { return b == nil || *b }

// ranges are addresses that are neither dialled nor accepted.
type ranges struct{ nets []*net.IPNet }

// parseRanges reads ranges written as multiaddrs: /ip4/10.0.0.0/ipcidr/8.
func parseRanges(texts []string) (*ranges, error) {
	r := &ranges{}
	for _, t := range texts {
		n, err := parseRange(t)
		if err != nil {
			return nil, err
		}
		r.nets = append(r.nets, n)
	}
	return r, nil
}

func parseRange(text string) (*net.IPNet, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 5 || parts[0] != "" || parts[3] != "ipcidr" {
		return nil, fmt.Errorf("%q is no range such as /ip4/10.0.0.0/ipcidr/8", text)
	}
	_, n, err := net.ParseCIDR(parts[2] + "/" + parts[4])
	return n, err
}

func (r *ranges) has(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	for _, n := range r.nets {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// The methods of a connection gater.

func (r *ranges) InterceptPeerDial(peer.ID) bool                   { return true }
func (r *ranges) InterceptAddrDial(_ peer.ID, a ma.Multiaddr) bool { return !r.has(a) }
func (r *ranges) InterceptAccept(c network.ConnMultiaddrs) bool    { return !r.has(c.RemoteMultiaddr()) }

func (r *ranges) InterceptSecured(d network.Direction, _ peer.ID, c network.ConnMultiaddrs) bool {
	return d == network.DirOutbound || !r.has(c.RemoteMultiaddr())
}

func (r *ranges) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// announcer decides which addresses others are told.
type announcer struct {
	instead, also []ma.Multiaddr
	never         map[string]bool
	neverIn       ranges
}

func newAnnouncer(a repo.Addresses) (*announcer, error) {
	n := &announcer{never: map[string]bool{}}
	for _, list := range []struct {
		key   string
		texts []string
		to    *[]ma.Multiaddr
	}{
		{"Announce", a.Announce, &n.instead},
		{"AppendAnnounce", a.AppendAnnounce, &n.also},
	} {
		for _, t := range list.texts {
			m, err := ma.NewMultiaddr(t)
			if err != nil {
				return nil, fmt.Errorf("config Addresses.%s: %w", list.key, err)
			}
			*list.to = append(*list.to, m)
		}
	}
	for _, t := range a.NoAnnounce {
		if r, err := parseRange(t); err == nil {
			n.neverIn.nets = append(n.neverIn.nets, r)
			continue
		}
		m, err := ma.NewMultiaddr(t)
		if err != nil {
			return nil, fmt.Errorf("config Addresses.NoAnnounce: %w", err)
		}
		n.never[string(m.Bytes())] = true
	}
	return n, nil
}

func (n *announcer) addrs(found []ma.Multiaddr) []ma.Multiaddr {
	if len(n.instead) > 0 {
		found = n.instead
	}
	var out []ma.Multiaddr
	for _, m := range append(found[:len(found):len(found)], n.also...) {
		if !n.never[string(m.Bytes())] && !n.neverIn.has(m) {
			out = append(out, m)
		}
	}
	return out
}

// relaySource finds relays among the peers of the DHT, which joins after the
// host has started.
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

// reachability follows whether others can connect to this node.
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

// words says in words whether others can fetch from a host.
func (r *reachability) words(h host.Host) string {
	return reachabilityWords(network.Reachability(r.state.Load()), h.Addrs())
}

// waysOut is what helps a node that others can't connect to.
const waysOut = "forward the port of Addresses.Swarm in your router, use IPv6, " +
	"set a relay of your own, one without limits, in Swarm.RelayClient.StaticRelays, or pin the content on a host with a public address"

// reachabilityWords promises no more than is so: public relays bring nodes
// together and carry a few messages, but no content, which other nodes don't send
// over a connection with limits.
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
