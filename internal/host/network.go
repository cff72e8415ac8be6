// Package host connects a node to the networks: it runs the libp2p host and the public
// and the local DHT, and joins the networks again whenever they are lost. A [Network]
// that was not opened belongs to an offline node; only its bootstrap peers can be
// changed.
//
// Invariant: an expected network that cannot be reached is never taken for an empty one.
// Puts and searches first wait for it, then return that it is away.
package host

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/boxo/peering"
	"github.com/ipfs/go-datastore"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	corerouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/reach"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/transport"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

// Options are the settings that are not in the config of the repo. All but Bootstrap are
// required.
type Options struct {
	Key       crypto.PrivKey
	Agent     string   // the agent version that other nodes see
	Bootstrap []string // peers to join by, in addition to those of the config

	Store    datastore.Batching // what the DHT servers keep for other peers
	Scarce   func() bool        // reports whether there is little space for that
	Received func(*ipns.Record)
	Older    func(context.Context, *ipns.Record) bool
	Opener   *routing.Opener
}

// Network is a node's connection to the networks.
type Network struct {
	// Nil offline.
	Host    *transport.Host
	DHT     *dht.DHT
	Peering *peering.PeeringService

	repo    repo.Repo
	log     *slog.Logger
	reach   *reach.Watcher
	boot    bootstrap
	besides []string      // bootstrap peers in addition to those of the config; guarded by boot.mu
	joined  chan struct{} // see Joined
	closers []func() error
}

// New returns the network of an offline node.
func New(r repo.Repo, log *slog.Logger) *Network {
	return &Network{repo: r, log: log, boot: bootstrap{changed: make(chan struct{}, 1)}, joined: make(chan struct{}, 1)}
}

// Open starts the host, and the DHTs if the config has them. Close closes them, even
// after an error.
func (n *Network) Open(ctx context.Context, c *repo.Config, o Options) (err error) {
	n.besides = o.Bootstrap
	if n.boot.peers, err = ParseBootstrap(c.Bootstrap, n.besides); err != nil {
		return err
	}
	relays := &relaySource{}
	n.Host, err = transport.Open(c, transport.Options{
		Key: o.Key, Agent: o.Agent, SwarmKey: n.repo.SwarmKey(), Overrides: n.repo.LimitOverrides(), Relays: relays.peers,
		Certificates: n.repo.Certificates(), Log: n.log,
	})
	if err != nil {
		return err
	}
	n.closers = append(n.closers, n.Host.Close)
	n.Peering = peering.NewPeeringService(n.Host)
	n.closers = append(n.closers, func() error { n.Peering.Stop(); return nil })
	if err := n.peer(&c.Peering); err != nil {
		return err
	}
	if err := n.watchReach(c); err != nil {
		return err
	}
	n.boot.since = time.Now()
	if !c.HasDHT() {
		return nil
	}
	if err := n.openDHT(ctx, c, o); err != nil {
		return err
	}
	relays.dht.Store(n.DHT.Dual.WAN)
	return nil
}

func (n *Network) openDHT(ctx context.Context, c *repo.Config, o Options) (err error) {
	n.DHT, err = dht.New(n.Host, dht.Config{
		Mode:          mode(&c.Routing),
		Store:         o.Store,
		Values:        dht.Limit{Count: c.Routing.MaxValues, Bytes: c.Routing.MaxValueBytes},
		Providers:     dht.Limit{Count: c.Routing.MaxProviders, Bytes: c.Routing.MaxProviderBytes},
		Scarce:        o.Scarce,
		Bootstrap:     n.boot.list,
		Signs:         n.boot.signs,
		LoopbackOnLAN: c.Routing.LoopbackAddressesOnLanDHT,
		LoopbackOnWAN: os.Getenv("TEST_DHT_STUB") != "", // as Kubo's own tests ask for
		Opener:        o.Opener,
		Visits:        c.Ipns.SweepVisits,
		Received:      o.Received,
		Older:         o.Older,
		Log:           n.log,
	})
	if err != nil {
		return err
	}
	n.closers = append(n.closers, n.DHT.Close)
	if err := n.DHT.Bootstrap(ctx); err != nil {
		return err
	}
	n.readMaps()
	n.recallAnswered()
	return nil
}

// Run joins the networks, and joins them again when they are lost, until ctx ends. From
// time to time it saves the known servers.
func (n *Network) Run(ctx context.Context) error {
	if n.DHT == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	var parts sync.WaitGroup
	parts.Go(func() { n.join(ctx) })
	parts.Go(func() { n.tellJoined(ctx, n.joined) })
	parts.Go(func() { n.keepMaps(ctx) })
	parts.Wait()
	return ctx.Err()
}

// Close saves the known servers and leaves the networks. The context of Run must have
// ended.
func (n *Network) Close() error {
	var errs []error
	if n.DHT != nil {
		n.saveMaps()
		n.noteAnswered(n.DHT.WAN.Answered())
	}
	for i := len(n.closers) - 1; i >= 0; i-- {
		errs = append(errs, n.closers[i]())
	}
	n.closers = nil
	return errors.Join(errs...)
}

// Router puts and searches on the DHTs; nil if there are none.
func (n *Network) Router() routing.Router {
	if n.DHT == nil {
		return nil
	}
	return joining{routing.Parallel{n.DHT.WAN, n.DHT.LAN}, n}
}

// Routers returns the Router of each DHT; nil if there is none.
func (n *Network) Routers() (wan, lan routing.Router) {
	if n.DHT == nil {
		return nil, nil
	}
	return joining{routing.Parallel{n.DHT.WAN}, n}, joining{routing.Parallel{n.DHT.LAN}, n}
}

// Content announces and finds content and peers on the DHTs, after a wait for them: on
// both, and on each. They are nil for a node that has none.
func (n *Network) Content() (all, wan, lan corerouting.Routing) {
	if n.DHT == nil {
		return nil, nil, nil
	}
	w, l := n.DHT.WAN, n.DHT.LAN
	return joiningContent{n.DHT.Dual, n, []*dht.Router{w, l}},
		joiningContent{n.DHT.Dual.WAN, n, []*dht.Router{w}},
		joiningContent{n.DHT.Dual.LAN, n, []*dht.Router{l}}
}

// Joined receives a value each time a network was joined of which the node knew no server
// before.
func (n *Network) Joined() <-chan struct{} { return n.joined }

// saveMapsEvery is how often the known servers are saved.
const saveMapsEvery = 10 * time.Minute

// readMaps reads the servers of both DHTs known when the node last ran, so that it starts
// warm.
func (n *Network) readMaps() {
	for _, r := range []*dht.Router{n.DHT.WAN, n.DHT.LAN} {
		if err := r.Map().Load(n.repo.ServerMap(r.Network())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.log.Warn("cannot read the known servers", "network", r.Network(), "err", err)
		}
	}
}

func (n *Network) keepMaps(ctx context.Context) {
	again := time.NewTicker(saveMapsEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			n.saveMaps()
		}
	}
}

func (n *Network) saveMaps() {
	for _, r := range []*dht.Router{n.DHT.WAN, n.DHT.LAN} {
		if err := r.Map().Save(n.repo.ServerMap(r.Network())); err != nil {
			n.log.Warn("cannot save the known servers", "network", r.Network(), "err", err)
		}
	}
}

// mode is the part that the config gives this node in the DHTs.
func mode(c *repo.Routing) kaddht.ModeOpt {
	kind := c.Type
	if kind == "custom" {
		custom, _ := c.CustomMode()
		kind = "dht" + strings.TrimPrefix(custom, "auto")
	}
	switch kind {
	case "dhtclient", "autoclient":
		return kaddht.ModeClient
	case "dhtserver":
		return kaddht.ModeServer
	}
	return kaddht.ModeAuto
}

// settleTime bounds how long Settle waits until the DHT has added a new peer, so that the
// next publish reaches it.
const settleTime = time.Second

// Settle waits until a connected peer that serves a DHT is in its routing table.
func (n *Network) Settle(ctx context.Context, p peer.ID) {
	if n.DHT == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		serves, err := n.Host.Peerstore().SupportsProtocols(p, dht.ProtocolWAN, dht.ProtocolLAN)
		known := n.DHT.Dual.LAN.RoutingTable().Find(p) != "" || n.DHT.Dual.WAN.RoutingTable().Find(p) != ""
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
