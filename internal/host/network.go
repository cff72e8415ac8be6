// Package host puts a node on the networks: its libp2p host, the public and the local
// DHT, and joining them, again and again. A [Network] that was not opened is that of an
// offline node, of which only the bootstrap peers can be changed.
//
// Invariant: a network that should be there and is not is never taken for one that has
// nothing: puts and searches wait for it at first, then say that it is away.
package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-datastore"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	corerouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

// Options are what a network needs beside the config of its repo. All must be set but
// Bootstrap.
type Options struct {
	Key       crypto.PrivKey
	Agent     string   // how this node calls itself to others
	Bootstrap []string // peers to join by, beside those of the config

	Store    datastore.Batching // what the DHT servers keep for others
	Scarce   func() bool        // whether there is little room for it
	Received func(*ipns.Record)
	Older    func(context.Context, *ipns.Record) bool
	Opener   *routing.Opener
}

// Network is a node's place on the networks.
type Network struct {
	// Nil offline.
	Host host.Host
	DHT  *dht.DHT

	repo    repo.Repo
	log     *slog.Logger
	reach   *reachability
	boot    bootstrap
	besides []string      // bootstrap peers beside those of the config; guarded by boot.mu
	joined  chan struct{} // see Joined
	closers []func() error
}

// New returns the network of an offline node.
func New(r repo.Repo, log *slog.Logger) *Network {
	return &Network{repo: r, log: log, boot: bootstrap{changed: make(chan struct{}, 1)}, joined: make(chan struct{}, 1)}
}

// Open starts the host and the DHTs. What it has opened is closed by Close, also after
// an error.
func (n *Network) Open(ctx context.Context, c *repo.Config, o Options) error {
	mode, err := Mode(c.Routing.Type)
	if err != nil {
		return err
	}
	n.besides = o.Bootstrap
	if n.boot.peers, err = ParseBootstrap(c.Bootstrap, n.besides); err != nil {
		return err
	}
	relays := &relaySource{}
	if n.Host, err = newHost(o.Key, o.Agent, c, relays.peers); err != nil {
		return err
	}
	n.closers = append(n.closers, n.Host.Close)
	if n.reach, err = watchReachability(n.Host); err != nil {
		return err
	}
	n.closers = append(n.closers, n.reach.close)
	n.DHT, err = dht.New(n.Host, dht.Config{
		Mode:          mode,
		Store:         o.Store,
		Values:        dht.Limit{Count: c.Routing.MaxValues, Bytes: c.Routing.MaxValueBytes},
		Providers:     dht.Limit{Count: c.Routing.MaxProviders, Bytes: c.Routing.MaxProviderBytes},
		Scarce:        o.Scarce,
		Bootstrap:     n.boot.list,
		Signs:         n.boot.signs,
		LoopbackOnLAN: c.Routing.LoopbackAddressesOnLanDHT,
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
	relays.dht.Store(n.DHT.Dual.WAN)
	n.boot.since = time.Now()
	n.readMaps()
	n.recallAnswered()
	return nil
}

// Run joins the networks, again whenever one is lost, until ctx ends. From time to time
// it saves what is known of their servers.
func (n *Network) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	parts.Go(func() { n.join(ctx) })
	parts.Go(func() { n.tellJoined(ctx, n.joined) })
	parts.Go(func() { n.keepMaps(ctx) })
	parts.Wait()
	return ctx.Err()
}

// Close saves what is known of the servers and takes the node off the networks. Run must
// have been told to end.
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

// Router puts and searches names on all networks. It is nil offline.
func (n *Network) Router() routing.Router {
	if n.DHT == nil {
		return nil
	}
	return joining{routing.Parallel{n.DHT.WAN, n.DHT.LAN}, n}
}

// ContentRouter announces and finds content. It is nil offline.
func (n *Network) ContentRouter() corerouting.ContentRouting {
	if n.DHT == nil {
		return nil
	}
	return joiningContent{n.DHT.Dual, n}
}

// Joined has an element each time that a network was joined of which the node had
// nobody.
func (n *Network) Joined() <-chan struct{} { return n.joined }

// Reachability says in words whether others can fetch from this node, which is
// not offline.
func (n *Network) Reachability() string { return n.reach.words(n.Host) }

// saveMapsEvery is how much of what was learnt of the servers a crash may lose.
const saveMapsEvery = 10 * time.Minute

// readMaps brings back what was known of the servers of both DHTs when the node last
// ran, so that a restart is warm.
func (n *Network) readMaps() {
	for _, r := range []*dht.Router{n.DHT.WAN, n.DHT.LAN} {
		if err := r.Map().Load(n.repo.ServerMap(r.Network())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.log.Warn("known servers are not read", "network", r.Network(), "err", err)
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
			n.log.Warn("known servers are not saved", "network", r.Network(), "err", err)
		}
	}
}

// Mode reads the config's Routing.Type.
func Mode(kind string) (kaddht.ModeOpt, error) {
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

// settleTime bounds how long Settle waits until a new peer that serves a
// DHT is known to it, so that what is published next reaches it.
const settleTime = time.Second

// Settle waits until a connected peer that serves a DHT is in its table.
func (n *Network) Settle(ctx context.Context, p peer.ID) {
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
