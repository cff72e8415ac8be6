// Package ownrelay runs a relay for a few named nodes behind routers that let nobody in.
// Others reach them through it, and since it sets no limits of time and bytes that nodes
// are told of, they fetch content over it: over the limited connections of public relays
// they do not.
//
// Contract: only the named nodes can reserve a place, and only they are reached, by
// anybody. What all connections together may use is bounded: see the limits below.
package ownrelay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/transport"
)

// Limits of a relay.
const (
	MaxNodes = 64 // that a relay is for
	// maxCircuits is how many connections through the relay each node has. libp2p allows each
	// peer 64 streams: the others are for asking for its place again.
	maxCircuits = 60
	bufferSize  = 32 << 10 // bytes, for each direction of a connection
	// circuitLife is after how long a connection ends, so that strangers who hold theirs
	// leave room for others. Whoever needs it connects again.
	circuitLife = 2 * time.Hour
	// DefaultRate is how many bytes a second all connections together may carry.
	DefaultRate = 10 << 20
	minRate     = 2 * bufferSize
	// Of the connections to the relay itself; those of its nodes stay.
	connsLow, connsHigh = 512, 768
)

// Options are what a relay needs.
type Options struct {
	Key       crypto.PrivKey
	Agent     string // the agent version that others see
	SwarmKey  string // the file with the key of a private network; there need be none
	Overrides string // the file that sets single limits; there need be none
	// Nodes are those that are reached through the relay.
	Nodes []peer.ID
	// Rate is how many bytes a second all connections together may carry; 0: DefaultRate.
	Rate int64
	Log  *slog.Logger
}

// Relay is a running relay.
type Relay struct {
	host    *transport.Host
	service *relay.Relay
	end     context.CancelFunc
}

// Open starts a relay that listens and announces itself as the config says. Close ends it.
func Open(c repo.Config, o Options) (*Relay, error) {
	o.Rate = cmp.Or(o.Rate, DefaultRate)
	switch {
	case len(o.Nodes) == 0:
		return nil, errors.New("a relay for nobody: name the nodes that it is for")
	case len(o.Nodes) > MaxNodes:
		return nil, fmt.Errorf("a relay for %d nodes: it can be for %d", len(o.Nodes), MaxNodes)
	case o.Rate < minRate:
		return nil, fmt.Errorf("a rate of %d bytes a second is too low: at least %d", o.Rate, minRate)
	case len(c.Addresses.Swarm) == 0:
		return nil, errors.New("config Addresses.Swarm is empty: a relay must listen somewhere")
	case slices.Contains(o.Nodes, idOf(o.Key)):
		return nil, errors.New("one of the nodes is the relay itself: it needs a repo, and with that a peer id, of its own")
	}
	c.Swarm.RelayClient.Enabled, c.Swarm.RelayService.Enabled = new(false), new(false)
	c.Swarm.Transports.Network.Relay = new(false) // it is reached directly
	c.Internal.Libp2pForceReachability = "public" // so that it tells others whether they are
	c.Swarm.ConnMgr.LowWater = cmp.Or(c.Swarm.ConnMgr.LowWater, connsLow)
	c.Swarm.ConnMgr.HighWater = cmp.Or(c.Swarm.ConnMgr.HighWater, connsHigh)
	h, err := transport.Open(&c, transport.Options{Key: o.Key, Agent: o.Agent, SwarmKey: o.SwarmKey, Overrides: o.Overrides})
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	r := &Relay{host: h, end: end}
	rules := &rules{nodes: map[peer.ID]bool{}, log: o.Log, said: map[peer.ID]bool{}}
	for _, n := range o.Nodes {
		rules.nodes[n] = true
		h.ConnManager().Protect(n, "relay")
	}
	r.service, err = relay.New(newPaced(life, h, o.Rate, newRoom(rules.nodes)), relay.WithACL(rules), relay.WithResources(relay.Resources{
		ReservationTTL:       relay.DefaultResources().ReservationTTL,
		MaxReservations:      len(o.Nodes),
		MaxReservationsPerIP: len(o.Nodes), MaxReservationsPerASN: len(o.Nodes),
		MaxCircuits: maxCircuits, BufferSize: bufferSize,
	}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the relay: %w", err), r.Close())
	}
	return r, nil
}

// idOf is the peer id of a key that libp2p has accepted, or will refuse.
func idOf(key crypto.PrivKey) peer.ID {
	id, _ := peer.IDFromPrivateKey(key)
	return id
}

// Close ends all connections through the relay, and the relay.
func (r *Relay) Close() error {
	r.end()
	var err error
	if r.service != nil {
		err = r.service.Close()
	}
	return errors.Join(err, r.host.Close())
}

// ID is the peer id of the relay.
func (r *Relay) ID() peer.ID { return r.host.ID() }

// Addrs are the addresses for Swarm.RelayClient.StaticRelays of the nodes, and whether
// they are public: if the relay knows no public address, they are those of its network.
func (r *Relay) Addrs() (addrs []string, public bool) {
	found := slices.DeleteFunc(r.host.Addrs(), func(a ma.Multiaddr) bool { return !plain(a) })
	for _, wanted := range []func(ma.Multiaddr) bool{manet.IsPublicAddr, notLoopback, plain} {
		if some := slices.DeleteFunc(slices.Clone(found), func(a ma.Multiaddr) bool { return !wanted(a) }); len(some) > 0 {
			found, public = some, manet.IsPublicAddr(some[0])
			break
		}
	}
	for _, a := range found {
		addrs = append(addrs, fmt.Sprintf("%s/p2p/%s", a, r.host.ID()))
	}
	slices.Sort(addrs)
	return addrs, public
}

func notLoopback(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) }

// plain reports whether an address stays the same for long: others have the hash of a
// certificate in them.
func plain(a ma.Multiaddr) bool {
	return !slices.ContainsFunc(a.Protocols(), func(p ma.Protocol) bool {
		return p.Code == ma.P_WEBTRANSPORT || p.Code == ma.P_WEBRTC_DIRECT || strings.HasPrefix(p.Name, "p2p")
	})
}

// rules decide who may use the relay.
type rules struct {
	nodes map[peer.ID]bool
	log   *slog.Logger
	mu    sync.Mutex
	said  map[peer.ID]bool // nodes whose reservation was logged
}

// AllowReserve lets only the named nodes be reached.
func (r *rules) AllowReserve(p peer.ID, from ma.Multiaddr) bool {
	if !r.nodes[p] {
		r.log.Debug("refused to relay for a node that is not named", "peer", p, "address", from)
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.said[p] {
		r.said[p] = true
		r.log.Info("a node is reached through this relay", "peer", p, "address", from)
	}
	return true
}

// AllowConnect lets anybody reach them.
func (r *rules) AllowConnect(_ peer.ID, _ ma.Multiaddr, to peer.ID) bool { return r.nodes[to] }
