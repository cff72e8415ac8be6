// Package transport opens the libp2p host of a node: what it listens on and announces,
// how it connects, what it never connects to, and what connections may use.
package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	basicconns "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/goipns/ipns/internal/autotls"
	"github.com/goipns/ipns/internal/machine"
	"github.com/goipns/ipns/internal/repo"
)

// connsGrace is for how long a new connection is not closed.
const connsGrace = 20 * time.Second

// Options are what is not in the config.
type Options struct {
	Key       crypto.PrivKey
	Agent     string // the agent version that other nodes see
	SwarmKey  string // the file with the key of a private network; there need be none
	Overrides string // the file that sets single limits; there need be none
	// Certificates is the folder for those of AutoTLS; "": none is got.
	Certificates string
	Log          *slog.Logger // for Certificates
	// Relays finds peers that may be relays.
	Relays func(context.Context, int) <-chan peer.AddrInfo
}

// Host is a libp2p host.
type Host struct {
	host.Host
	Limits    *Limits
	Bandwidth *metrics.BandwidthCounter
	Filters   *Ranges // neither dialled nor accepted
	DNS       *madns.Resolver

	certificates *autotls.Manager // nil: none is got
}

// Close closes the host, and ends what gets its certificate.
func (h *Host) Close() error {
	var err error
	if h.certificates != nil {
		err = h.certificates.Close()
	}
	return errors.Join(err, h.Host.Close())
}

// CertificateEnd returns from when on browsers refuse the certificate of this host; zero: it
// has none.
func (h *Host) CertificateEnd() time.Time {
	if h.certificates == nil {
		return time.Time{}
	}
	return h.certificates.CertificateEnd()
}

// Open starts a libp2p host with the features that Kubo uses on the public network: NAT
// port mapping, AutoNAT v1 and v2, a relay client, a relay for others if the config says
// so, hole punching, limits for resources and connections.
func Open(c *repo.Config, o Options) (h *Host, err error) {
	h = &Host{Bandwidth: metrics.NewBandwidthCounter()}
	if h.Filters, err = ParseRanges(c.Swarm.AddrFilters); err != nil {
		return nil, fmt.Errorf("config Swarm.AddrFilters: %w", err)
	}
	options, highWater, err := h.options(c, o)
	if err != nil {
		return nil, err
	}
	if h.DNS, err = newResolver(&c.DNS, &c.AutoTLS); err != nil {
		return nil, err
	}
	options = append(options, libp2p.MultiaddrResolver(swarm.ResolverFromMaDNS{Resolver: h.DNS}))
	var relays []peer.AddrInfo
	if repo.On(c.Swarm.RelayClient.Enabled) {
		if relays, err = parsePeers(c.Swarm.RelayClient.StaticRelays); err != nil {
			return nil, fmt.Errorf("config Swarm.RelayClient.StaticRelays: %w", err)
		}
	}
	if h.Limits, err = newLimits(&c.Swarm.ResourceMgr, o.Overrides, highWater, relays); err != nil {
		return nil, err
	}
	dials := &gater{Ranges: h.Filters}
	options = append(options, libp2p.ConnectionGater(dials), libp2p.ResourceManager(h.Limits))
	if !c.Swarm.DisableBandwidthMetrics {
		options = append(options, libp2p.BandwidthReporter(h.Bandwidth))
	}
	if h.Host, err = libp2p.New(options...); err != nil {
		return nil, errors.Join(listenError(c.Addresses.Swarm, err), h.Limits.Close())
	}
	dials.peers.Store(new(h.Host.Peerstore()))
	if h.certificates != nil {
		if err := h.certificates.Start(h.Host); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	return h, nil
}

// options are those of libp2p that need nothing opened. highWater is above how many
// connections some are closed; 0: never.
func (h *Host) options(c *repo.Config, o Options) (list []libp2p.Option, highWater int, err error) {
	announce, err := newAnnouncer(c.Addresses)
	if err != nil {
		return nil, 0, err
	}
	conns, highWater, err := connManager(&c.Swarm, machine.Here())
	if err != nil {
		return nil, 0, fmt.Errorf("config Swarm.ConnMgr: %w", err)
	}
	private, err := swarmKey(o.SwarmKey)
	if err != nil {
		return nil, 0, err
	}
	listen, addrs, secure := c.Addresses.Swarm, announce.addrs, (*tls.Config)(nil)
	if besides, use := autotls.Listeners(c); use && o.Certificates != "" && private == nil {
		h.certificates = autotls.New(&c.AutoTLS, autotls.Options{Folder: o.Certificates, Agent: o.Agent, Log: o.Log})
		listen, secure = slices.Concat(listen, besides), h.certificates.TLS()
		addrs = func(found []ma.Multiaddr) []ma.Multiaddr { return announce.addrs(h.certificates.Addrs(found)) }
	}
	ways, err := transports(&c.Swarm.Transports, private != nil, secure)
	if err != nil {
		return nil, 0, fmt.Errorf("config Swarm.Transports: %w", err)
	}
	relay, err := relayOptions(&c.Swarm, o.Relays)
	if err != nil {
		return nil, 0, err
	}
	reach, err := reachOptions(c)
	if err != nil {
		return nil, 0, err
	}
	list = slices.Concat(ways, relay, reach, []libp2p.Option{
		libp2p.Identity(o.Key), libp2p.UserAgent(o.Agent), libp2p.AddrsFactory(addrs), libp2p.ConnectionManager(conns),
	})
	if private != nil {
		list = append(list, libp2p.PrivateNetwork(private))
	}
	if len(listen) > 0 {
		list = append(list, libp2p.ListenAddrStrings(listen...))
	} else {
		list = append(list, libp2p.NoListenAddrs)
	}
	if !c.Swarm.DisableNatPortMap {
		list = append(list, libp2p.NATPortMap())
	}
	return list, highWater, nil
}

// reachOptions are about whether this node, and others, can be reached.
func reachOptions(c *repo.Config) (list []libp2p.Option, err error) {
	switch force := c.Internal.Libp2pForceReachability; force {
	case "":
	case "public":
		list = append(list, libp2p.ForceReachabilityPublic())
	case "private":
		list = append(list, libp2p.ForceReachabilityPrivate())
	default:
		return nil, fmt.Errorf("config Internal.Libp2pForceReachability is %q: use public or private", force)
	}
	switch mode := c.AutoNAT.ServiceMode; mode {
	case "", "enabled", "default":
		return append(list, libp2p.EnableNATService(), libp2p.EnableAutoNATv2()), nil
	case "legacy-v1":
		return append(list, libp2p.EnableNATService()), nil
	case "disabled":
		return list, nil
	default:
		return nil, fmt.Errorf("config AutoNAT.ServiceMode is %q: use enabled, disabled or legacy-v1", mode)
	}
}

// connManager returns what closes connections when there are too many, and above how
// many it does.
func connManager(c *repo.Swarm, room machine.Room) (connmgr.ConnManager, int, error) {
	if c.ConnMgr.Type != nil {
		switch *c.ConnMgr.Type {
		case "none":
			return connmgr.NullConnMgr{}, 0, nil
		case "", "basic", "default":
		default:
			return nil, 0, fmt.Errorf("unrecognized Swarm.ConnMgr.Type: %q", *c.ConnMgr.Type)
		}
	}
	low, high := room.Connections()
	low, high = cmp.Or(c.ConnMgr.LowWater, low), cmp.Or(c.ConnMgr.HighWater, high)
	conns, err := basicconns.NewConnManager(low, high,
		basicconns.WithGracePeriod(cmp.Or(time.Duration(c.ConnMgr.GracePeriod), connsGrace)))
	return conns, high, err
}

// relayOptions are for a node that needs relays, and for one that is a relay.
func relayOptions(c *repo.Swarm, found func(context.Context, int) <-chan peer.AddrInfo) ([]libp2p.Option, error) {
	if !repo.On(c.Transports.Network.Relay) {
		return []libp2p.Option{libp2p.DisableRelay()}, nil
	}
	var options []libp2p.Option
	if e := c.RelayService.Enabled; e != nil && *e {
		options = append(options, libp2p.EnableRelayService(relayLimits(&c.RelayService)...))
	}
	if !repo.On(c.RelayClient.Enabled) {
		return options, nil
	}
	if len(c.RelayClient.StaticRelays) == 0 {
		options = append(options, libp2p.EnableAutoRelayWithPeerSource(found))
	} else {
		peers, err := parsePeers(c.RelayClient.StaticRelays)
		if err != nil {
			return nil, fmt.Errorf("config Swarm.RelayClient.StaticRelays: %w", err)
		}
		options = append(options, libp2p.EnableAutoRelayWithStaticRelays(peers))
	}
	if repo.On(c.EnableHolePunching) {
		options = append(options, libp2p.EnableHolePunching())
	}
	return options, nil
}

func parsePeers(texts []string) ([]peer.AddrInfo, error) {
	var addrs []ma.Multiaddr
	for _, text := range texts {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, a)
	}
	return peer.AddrInfosFromP2pAddrs(addrs...)
}

// ErrTaken means that another process listens on a port of Addresses.Swarm.
var ErrTaken = errors.New("the port is taken")

func listenError(addrs []string, err error) error {
	if strings.Contains(err.Error(), "address already in use") {
		return fmt.Errorf("cannot listen on %s: %w", strings.Join(addrs, ", "), ErrTaken)
	}
	return fmt.Errorf("start the libp2p host on %s: %w", strings.Join(addrs, ", "), err)
}
