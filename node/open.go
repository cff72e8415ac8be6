package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/denylist"
	"github.com/goipns/ipns/internal/garbage"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/metrics"
	"github.com/goipns/ipns/internal/provide"
	"github.com/goipns/ipns/internal/records"
	"github.com/goipns/ipns/internal/relay"
	"github.com/goipns/ipns/internal/repair"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/roads"
	"github.com/goipns/ipns/internal/sharedkeys"
	"github.com/goipns/ipns/keystore"
	sshagent "github.com/goipns/ipns/keystore/agent"
	"github.com/goipns/ipns/keystore/remote"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	store "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
)

// New is [Open] for an existing repo whose lock the caller holds until the node is
// closed. If it fails, it closes what it has opened.
func New(ctx context.Context, r repo.Repo, c Config) (*Node, error) {
	if !c.Salvage {
		return newNode(ctx, r, c)
	}
	salvaged, err := records.Salvage(ctx, r, c.Log, false)
	if err != nil {
		return nil, err
	}
	n, err := newNode(ctx, r, c)
	if salvaged == nil && errors.Is(err, ErrDamaged) {
		if salvaged, err = records.Salvage(ctx, r, c.Log, true); err != nil {
			return nil, err
		}
		n, err = newNode(ctx, r, c)
	}
	if err == nil {
		n.Salvaged = salvaged
	}
	return n, err
}

// ErrDamaged means that the database is damaged as a whole. Config.Salvage makes a new
// one; the keys are files beside it.
var ErrDamaged = store.ErrDamaged

func newNode(ctx context.Context, r repo.Repo, c Config) (*Node, error) {
	config, err := r.Config()
	if err != nil {
		return nil, err
	}
	if config.Routing.Type = cmp.Or(c.Routing, config.Routing.Type); !slices.Contains(repo.RoutingTypes, cmp.Or(config.Routing.Type, "auto")) {
		return nil, fmt.Errorf("routing is %q: use %s", config.Routing.Type, strings.Join(repo.RoutingTypes, ", "))
	}
	config.Ipns.Store = cmp.Or(c.Store, config.Ipns.Store)
	n := &Node{Repo: r, Settings: config, Log: c.Log, Agent: AgentOf(&config, c.AgentSuffix), listeners: c.Listeners, stopping: make(chan struct{})}
	if n.Log == nil {
		n.Log = slog.New(slog.DiscardHandler)
	}
	n.Network = host.New(r, n.Log)
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = stop
	announcing, silence := context.WithCancel(context.WithoutCancel(ctx))
	n.silence = silence
	if err := n.open(ctx, life, announcing, c); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	if c.API != nil {
		n.api = c.API(n)
	}
	return n, nil
}

// open opens the parts, each after those that it needs. life ends when Close begins,
// announcing when Close has waited for the announcements.
func (n *Node) open(ctx, life, announcing context.Context, c Config) error {
	if err := n.openKeys(c); err != nil {
		return err
	}
	if err := n.openDatabase(ctx, life, c); err != nil {
		return err
	}
	n.openSharedKeys(life)
	var err error
	if n.Roads, err = roads.Open(&n.Settings, &n.Opener, n.Agent); err != nil {
		return err
	}
	n.onClose(n.Roads.Close)
	if c.Offline {
		n.Provider = &provide.Provider{}
		n.onClose(n.Network.Close)
	} else {
		if err := n.openNetwork(ctx, c); err != nil {
			return err
		}
		if err := n.openPubsub(c); err != nil {
			return err
		}
	}
	if err := n.openContent(ctx); err != nil {
		return err
	}
	if err := n.openNames(c.Router); err != nil {
		return err
	}
	n.openLadders(life)
	n.openWatch()
	if err := n.openHosting(); err != nil {
		return err
	}
	n.Garbage = &garbage.Collector{Content: n.Content, Book: n.Book, Log: n.Log, Ahead: n.Ladders.Ahead, Values: n.Settings.Ipns.KeepValues}
	n.Garbage.Period = n.Settings.Datastore.Period()
	if n.Garbage.Above, err = n.Settings.Datastore.Watermark(); err != nil {
		return err
	}
	if n.Garbage.CacheMax, err = n.Settings.Datastore.Cache(); err != nil {
		return err
	}
	if err := n.openPins(ctx); err != nil {
		return err
	}
	n.openFollows()
	n.openCluster(c)
	n.Repair = &repair.Repairer{Keys: n.Keys, Store: n.Records, Own: n.Records.Own, Book: n.Book, Router: n.Router, Log: n.Log}
	n.Metrics = metrics.New(metrics.Parts{
		Release: Release, Book: n.Book, Publisher: n.Publisher, Republisher: n.Republisher, Resolver: n.Resolver, Content: n.Content,
		Max: n.Settings.Datastore.Max, Disk: n.Records.Disk, Network: n.Network, Hosting: n.Hosting, Webhooks: n.Webhooks, Cluster: n.Cluster, Pubsub: n.Pubsub,
	})
	n.begin(life, announcing, c)
	return nil
}

// begin starts what the parts do in the background.
func (n *Node) begin(life, announcing context.Context, c Config) {
	n.background(func() { _ = n.Book.Run(life) })
	n.background(func() { n.ended("reading denylists", n.denylists.Run(life)) })
	if !c.ReadOnFull {
		n.background(func() { n.ended("collecting garbage", n.Garbage.Run(life)) })
	}
	if router := n.Network.Router(); router != nil {
		n.relay = relay.New(life, n.background, n.Book, n.Resolver, router)
	}
	if !c.ReadOnFull {
		n.background(func() { n.Repair.RepairOwn(life) })
	}
	if !c.ReadOnFull && !c.Offline {
		n.background(func() { n.ended("sending webhooks", n.Webhooks.Run(life)) })
		n.background(func() { n.ended("following names", n.Follows.Run(life)) })
	}
	if !c.Offline {
		n.Republisher.Joined = n.Network.Joined()
		n.background(func() { n.ended("joining the networks", n.Network.Run(life)) })
		n.background(func() { n.Provider.Run(life, n.Content.Announced) })
	}
	if n.Settings.Addresses.Hosting != "" {
		n.background(func() { n.ended("hosting", n.Hosting.Run(life)) })
		n.background(func() { n.ended("keeping content of tenants", n.Pins.Run(life)) })
	}
	if n.Router != nil {
		if n.Cluster != nil && !c.Offline && !c.Brief {
			n.background(func() { n.ended("sharing the work with other daemons", n.Cluster.Run(life)) })
		}
		n.background(func() { n.ended("announcing names", n.Publisher.Run(announcing)) })
		n.background(func() { n.ended("republishing", n.Republisher.Run(life)) })
		n.background(func() { n.ended("releasing ladders", n.Ladders.Run(life)) })
	}
}

// ended logs why something ended that should run as long as the node.
func (n *Node) ended(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		n.Log.Error(what+" has stopped", "err", err)
	}
}

// openNames connects publisher and resolver with the Book and the networks.
func (n *Node) openNames(router routing.Router) error {
	static, err := resolver.ParseStatic(os.Getenv("IPFS_NS_MAP"))
	if err != nil {
		return fmt.Errorf("environment variable IPFS_NS_MAP: %w", err)
	}
	if n.Router = router; router == nil {
		if n.Router, err = n.networks(); err != nil {
			return err
		}
	}
	n.onClose(func() func() error {
		stop := n.Book.Subscribe(n.logRival)
		return func() error { stop(); return nil }
	}())
	n.Publisher = &publisher.Publisher{
		Book:            n.Book,
		Router:          n.Router,
		Signers:         n.signer,
		Expected:        n.Network.Expected,
		Log:             n.Log,
		Lifetime:        time.Duration(n.Settings.Ipns.RecordLifetime),
		MaxLifetime:     longLife,
		RepublishPeriod: time.Duration(n.Settings.Ipns.RepublishPeriod),
	}
	n.Republisher = &republisher.Republisher{
		Book:      n.Book,
		Router:    n.Router,
		Signers:   n.Keys.Signer,
		Ready:     n.Keys.Ready,
		Clock:     n.Publisher,
		Log:       n.Log,
		OwnPeriod: time.Duration(n.Settings.Ipns.RepublishPeriod),
		Lifetime:  time.Duration(n.Settings.Ipns.RecordLifetime),
	}
	n.onClose(func() error {
		defer n.silence()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		// Records not announced by then are announced after the next start.
		if err := n.Publisher.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	})
	n.Resolver = &resolver.Resolver{
		Book:      n.Book,
		Router:    n.Router,
		Opener:    &n.Opener,
		LookupTXT: (&resolver.DoH{Servers: n.Settings.DNS.Servers()}).LookupTXT,

		Deny:        n.Content.Denied,
		MaxCacheTTL: n.Settings.Ipns.CacheBound(),
		Static:      static,
		CacheSize:   cmp.Or(n.Settings.Ipns.ResolveCacheSize, repo.DefaultResolveCacheSize),
	}
	n.onClose(n.Resolver.Close)
	n.resolverRef.Store(n.Resolver)
	return nil
}

// logRival logs records by another holder of a key that replaced one published here,
// wherever they came from.
func (n *Node) logRival(c names.Change) {
	if c.Rival == nil {
		return
	}
	n.Log.Warn("another holder of this key has published: publish again to replace it, and find out who has the key",
		"name", c.Rival.Name().String(), "sequence", c.Rival.Sequence(), "value", c.Rival.Value())
}

// longLife is the lifetime above which a publish warns.
const longLife = 30 * 24 * time.Hour

// background runs f, which ends with the node.
func (n *Node) background(f func()) { n.running.Go(f) }

// onClose adds a function for Close, which calls them in reverse order.
func (n *Node) onClose(f func() error) { n.closers = append(n.closers, f) }

func (n *Node) openKeys(c Config) error {
	keys, err := identity.Open(n.Repo, n.Settings.Identity, c.Passphrase)
	if err != nil {
		return err
	}
	// No one else writes: the caller holds the lock.
	if err := errors.Join(n.Repo.Clean(), keys.Damaged); err != nil {
		n.Log.Warn("leftovers of a crash, or damaged keys, stay", "err", err)
	}
	if c.Encrypt && len(c.Passphrase) > 0 {
		count, err := keys.Encrypt(c.Passphrase)
		if err != nil {
			n.Log.Warn("keys stay in clear", "err", err)
		}
		if count > 0 {
			n.Log.Warn("keys were in clear, and are now encrypted with the passphrase that was given", "count", count)
		}
	}
	n.Identity, n.Name, n.Key = keys, keys.Name, keys.Self
	if n.HostKey = n.Key; n.Key == nil {
		n.Log.Warn("the keys are encrypted, and no passphrase was given: nothing is signed or renewed, and this run has a peer id of its own")
		if n.HostKey, err = ipns.GenerateKey(ipns.Ed25519, 0); err != nil {
			return err
		}
	}
	n.Keys = keystore.NewKeyring(keys.Store, n.Name, n.Key)
	if socket := cmp.Or(n.Settings.Ipns.SSHAgent, os.Getenv("SSH_AUTH_SOCK")); socket != "" {
		n.Keys.Elsewhere = append(n.Keys.Elsewhere, &sshagent.Agent{Socket: socket})
	}
	for _, s := range n.Settings.Ipns.Signers {
		place := &remote.Server{URL: s.URL, TokenFile: s.TokenFile, CertFile: s.CertFile, KeyFile: s.KeyFile, CAFile: s.CAFile}
		if err := place.Check(); err != nil {
			return fmt.Errorf("config setting Ipns.Signers: %w", err)
		}
		n.Keys.Elsewhere = append(n.Keys.Elsewhere, place)
	}
	n.Keys.Begin = func(ctx context.Context, name ipns.Name) error { return n.Book.Create(ctx, name) }
	return nil
}

// openSharedKeys makes the keys usable that other daemons share by the store of names.
func (n *Node) openSharedKeys(life context.Context) {
	n.SharedKeys = &sharedkeys.Keys{Rows: n.Records.Rows(), Self: n.Key}
	n.Keys.Elsewhere = append(n.Keys.Elsewhere, n.SharedKeys)
	if n.Records.Shared == nil || n.Key == nil {
		return
	}
	n.background(func() {
		if err := n.SharedKeys.Announce(life); err != nil && life.Err() == nil {
			n.Log.Warn("others cannot share keys with this daemon by its peer id", "err", err)
		}
	})
}

func (n *Node) openNetwork(ctx context.Context, c Config) error {
	datastore, err := content.Datastore(n.Records.DB, n.Records.Disk.Spare)
	if err != nil {
		return err
	}
	n.onClose(datastore.Close)
	n.onClose(n.Network.Close)
	err = n.Network.Open(ctx, &n.Settings, host.Options{
		Key:       n.HostKey,
		Agent:     n.Agent,
		Bootstrap: c.Bootstrap,
		Store:     datastore,
		Scarce:    n.Records.Disk.Scarce,
		Received:  n.received,
		Older:     n.older,
		Opener:    &n.Opener,
	})
	if err != nil {
		return err
	}
	n.Host, n.DHT = n.Network.Host, n.Network.DHT
	f := roads.FinderOptions{Host: n.Host, Key: n.HostKey}
	f.All, f.WAN, f.LAN = n.Network.Content()
	if n.Finder, err = n.Roads.Finder(f); err != nil {
		return err
	}
	o := provide.Options{DHT: n.DHT, Router: n.Finder, Store: datastore, Log: n.Log}
	n.Provider, err = provide.Open(&n.Settings, o)
	n.onClose(n.Provider.Close)
	return err
}

// older reports whether the Book knows of a record newer than rec.
func (n *Node) older(ctx context.Context, rec *ipns.Record) bool {
	mark, err := n.Book.Seen(ctx, rec.Name())
	return err == nil && mark.Compare(recordstore.MarkOf(rec)) > 0
}

// received handles records that other peers put on this node's DHT server.
func (n *Node) received(rec *ipns.Record) {
	if r := n.resolverRef.Load(); r != nil {
		r.Received(rec.Name())
	}
	n.Book.Hear(rec)
}

func (n *Node) openContent(ctx context.Context) (err error) {
	n.denylists = denylist.Open(denylist.Folders(n.Repo.Denylists()), n.Log)
	o := content.Options{DB: n.Records.DB, Dir: n.Records.Disk.Dir, Writes: n.Records.Disk.Spare, Freeing: n.Records.Disk.Freeing, Host: n.Host, Log: n.Log, Deny: n.denylists}
	if o.CacheMax, err = n.Settings.Datastore.Cache(); err != nil {
		return err
	}
	if n.Host != nil {
		o.Router, o.Provider, o.Strategy = n.Finder, n.Provider, content.Strategy(n.Settings.Provide.Which())
		o.NoServer, o.NoBitswap = !repo.On(n.Settings.Bitswap.ServerEnabled), !repo.On(n.Settings.Bitswap.Libp2pEnabled)
		if c := &n.Settings.HTTPRetrieval; repo.On(c.Enabled) {
			o.HTTP = &content.HTTP{Allow: c.Allowlist, Deny: c.Denylist, Workers: c.NumWorkers, MaxBlock: c.MaxBlock(), Insecure: c.TLSInsecureSkipVerify, UserAgent: Agent}
		}
	}
	if n.Content, err = content.Open(ctx, o); err != nil {
		return err
	}
	n.onClose(n.Content.Close)
	return nil
}
