package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"

	"github.com/goipns/ipns/internal/repo"
)

// The default limits of connections: below highWater none is closed, nor in its first
// seconds.
const (
	connsLow   = 32
	connsHigh  = 96
	connsGrace = 20 * time.Second
)

// newHost starts a libp2p host with the features that Kubo uses on the public network:
// NAT port mapping, AutoNAT v1 and v2, a relay client with relays from relays, hole
// punching, limits for resources and connections.
func newHost(key crypto.PrivKey, agent string, c *repo.Config, relays func(context.Context, int) <-chan peer.AddrInfo) (host.Host, error) {
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
		libp2p.UserAgent(agent),
		libp2p.AddrsFactory(announce.addrs),
		libp2p.ConnectionGater(filters),
		libp2p.ConnectionManager(conns),
		libp2p.ResourceManager(resources),
		// Noise first: TLS, and with it QUIC, rejects servers whose certificates are not
		// valid yet by a clock that is an hour behind. The node could then reach no one
		// who knows the time.
		libp2p.Security(noise.ID, noise.New),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.EnableNATService(),
		libp2p.EnableAutoNATv2(),
	}
	if len(c.Addresses.Swarm) > 0 {
		options = append(options, libp2p.ListenAddrStrings(c.Addresses.Swarm...))
	} else {
		options = append(options, libp2p.NoListenAddrs)
	}
	if !c.Swarm.DisableNatPortMap {
		options = append(options, libp2p.NATPortMap())
	}
	if repo.On(c.Swarm.RelayClient.Enabled) {
		relay, err := relayOption(c.Swarm.RelayClient.StaticRelays, relays)
		if err != nil {
			return nil, errors.Join(err, resources.Close())
		}
		options = append(options, relay)
		if repo.On(c.Swarm.EnableHolePunching) {
			options = append(options, libp2p.EnableHolePunching())
		}
	}
	h, err := libp2p.New(options...)
	if err != nil {
		return nil, errors.Join(listenError(c.Addresses.Swarm, err), resources.Close())
	}
	return h, nil
}

// relayOption uses the given relays, or else those that are found.
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

// ErrTaken means that another process listens on a port of Addresses.Swarm.
var ErrTaken = errors.New("the port is taken")

func listenError(addrs []string, err error) error {
	if strings.Contains(err.Error(), "address already in use") {
		return fmt.Errorf("cannot listen on %s: %w", strings.Join(addrs, ", "), ErrTaken)
	}
	return fmt.Errorf("start the libp2p host on %s: %w", strings.Join(addrs, ", "), err)
}
