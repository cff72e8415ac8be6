// Package daemon makes a running node of a repo: host, DHTs, database, content,
// names, gateway and API, wired to each other. It is the one package that knows
// all others; the logic is in them.
//
// A [Node] is the [rpc.Node] of this process. Offline it has no host and no
// servers: what a command does without a daemon, it does on such a Node.
//
// Whoever makes a Node holds the lock of its repo until the Node is closed.
package daemon

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	store "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
	"github.com/goipns/ipns/rpc"
)

// Options say how a node runs, beside what its repo's config says.
type Options struct {
	// Offline makes a node without a host.
	Offline bool
	// ReadOnFull makes a node that reads on a disk that is full, and refuses to
	// write, instead of none: for a single command.
	ReadOnFull bool
	// Bootstrap are more peers to join the networks by, as multiaddrs.
	Bootstrap []string
	// Routing replaces the config's Routing.Type, unless it is empty.
	Routing string
	// Log gets what is worth knowing in the background. nil: nothing.
	Log *slog.Logger
}

// closeTimeout bounds how long Close waits for what is going on.
const closeTimeout = 10 * time.Second

// hearAtOnce bounds the records, put here by others, that are being taken.
const hearAtOnce = 64

// Node is a running node.
type Node struct {
	repo   repo.Repo
	config repo.Config
	log    *slog.Logger

	priv crypto.PrivKey // the key self
	name ipns.Name
	keys *keystore.Keyring

	disk    *store.Disk
	db      *pebble.DB
	records *store.Store
	book    *names.Book
	content *content.Store

	opener      routing.Opener
	router      routing.Router // nil offline
	publisher   *publisher.Publisher
	republisher *republisher.Republisher // runs unless offline
	resolver    *resolver.Resolver
	hearer      atomic.Pointer[resolver.Resolver] // the same, for the DHT, which runs before there is one

	metrics metrics

	// nil offline
	host    host.Host
	reach   *reachability
	dht     *dht.DHT
	boot    bootstrap
	besides []string // bootstrap peers beside those of the config; guarded by boot.mu
	started time.Time

	hearing  chan struct{} // has an element for each record that is being heard
	stopping chan struct{} // closed by Shutdown
	stopOnce sync.Once
	stop     context.CancelFunc // ends what runs in the background
	silence  context.CancelFunc // ends the announcements, which get some time after stop
	running  sync.WaitGroup
	closers  []func() error // in the order of opening
}

var _ rpc.Node = (*Node)(nil)

// New starts a node on a repo. If that fails, everything is closed again.
func New(ctx context.Context, r repo.Repo, o Options) (*Node, error) {
	config, err := r.Config()
	if err != nil {
		return nil, err
	}
	if config.Routing.Type = or(o.Routing, config.Routing.Type); !o.Offline {
		if _, err := dhtMode(config.Routing.Type); err != nil {
			return nil, err
		}
	}
	n := &Node{repo: r, config: config, log: o.Log, boot: bootstrap{changed: make(chan struct{}, 1)}, hearing: make(chan struct{}, hearAtOnce), stopping: make(chan struct{})}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = stop
	announcing, silence := context.WithCancel(context.WithoutCancel(ctx))
	n.silence = silence
	if err := n.open(ctx, life, announcing, o); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// open opens the parts, each upon those before it. life ends when Close begins,
// announcing when Close has waited for the announcements.
func (n *Node) open(ctx, life, announcing context.Context, o Options) error {
	if err := n.openKeys(); err != nil {
		return err
	}
	if err := n.openDatabase(ctx, life, o); err != nil {
		return err
	}
	if !o.Offline {
		if err := n.openNetwork(ctx, o); err != nil {
			return err
		}
	}
	if err := n.openContent(ctx); err != nil {
		return err
	}
	if err := n.openNames(); err != nil {
		return err
	}
	n.openMetrics()
	n.background(func() { _ = n.book.Run(life) })
	if !o.ReadOnFull {
		n.background(func() { n.mendOwn(life) })
	}
	if !o.Offline {
		n.boot.since = time.Now()
		n.openMaps(life)
		n.recallAnswered()
		n.background(func() { n.join(life) })
		joined := make(chan struct{}, 1)
		n.republisher.Joined = joined
		n.background(func() { n.tellJoined(life, joined) })
		n.background(func() { n.ended("announcing names", n.publisher.Run(announcing)) })
		n.background(func() { n.ended("republishing", n.republisher.Run(life)) })
	}
	return nil
}

// ended logs why something that should run as long as the node has ended.
func (n *Node) ended(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		n.log.Error(what+" has stopped", "err", err)
	}
}

// openNames connects publisher and resolver with the Book and the networks.
func (n *Node) openNames() error {
	static, err := resolver.ParseStatic(os.Getenv("IPFS_NS_MAP"))
	if err != nil {
		return fmt.Errorf("environment variable IPFS_NS_MAP: %w", err)
	}
	if n.dht != nil {
		n.router = joining{routing.Parallel{n.dht.WAN, n.dht.LAN}, n}
	}
	n.onClose(func() func() error {
		stop := n.book.Subscribe(n.logRival)
		return func() error { stop(); return nil }
	}())
	n.publisher = &publisher.Publisher{
		Book:            n.book,
		Router:          n.router,
		Expected:        n.expected,
		Log:             n.log,
		Lifetime:        time.Duration(n.config.Ipns.RecordLifetime),
		MaxLifetime:     longLife,
		RepublishPeriod: time.Duration(n.config.Ipns.RepublishPeriod),
	}
	n.republisher = &republisher.Republisher{
		Book:      n.book,
		Router:    n.router,
		Signers:   n.keys.Signer,
		Log:       n.log,
		OwnPeriod: time.Duration(n.config.Ipns.RepublishPeriod),
		Lifetime:  time.Duration(n.config.Ipns.RecordLifetime),
	}
	n.onClose(func() error {
		defer n.silence()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		// What could not be announced in this time is announced after the next
		// start.
		if err := n.publisher.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	})
	n.resolver = &resolver.Resolver{
		Book:      n.book,
		Router:    n.router,
		Opener:    &n.opener,
		LookupTXT: newDNS(n.config.DNS).LookupTXT,

		MaxCacheTTL: n.maxCacheTTL(),
		Static:      static,
		CacheSize:   or(n.config.Ipns.ResolveCacheSize, repo.DefaultResolveCacheSize),
	}
	n.onClose(n.resolver.Close)
	n.hearer.Store(n.resolver)
	return nil
}

// logRival tells of records that another holder of a key has published over one
// from here, however they came in.
func (n *Node) logRival(c names.Change) {
	if c.Rival == nil {
		return
	}
	n.log.Warn("another holder of this key has published: publish again to replace it, and find out who has the key",
		"name", c.Rival.Name().String(), "sequence", c.Rival.Sequence(), "value", c.Rival.Value())
}

// longLife is the lifetime above which a publish warns.
const longLife = 30 * 24 * time.Hour

// maxCacheTTL is the config's bound in the form of resolver and gateway: 0 for
// none, negative to keep nothing.
func (n *Node) maxCacheTTL() time.Duration {
	switch ttl := n.config.Ipns.MaxCacheTTL; {
	case ttl == nil:
		return 0
	case *ttl == 0:
		return -1
	default:
		return time.Duration(*ttl)
	}
}

// ensDNS answers for domains below eth. what their owners wrote into ENS.
const ensDNS = "https://dns.eth.limo/dns-query"

// newDNS reads the config's DNS.
func newDNS(c repo.DNS) *resolver.DoH {
	servers := map[string]string{"eth.": ensDNS}
	for domain, url := range c.Resolvers {
		if url != "auto" {
			servers[domain] = url
		}
	}
	return &resolver.DoH{Servers: servers}
}

// background runs f, which ends with the node.
func (n *Node) background(f func()) { n.running.Go(f) }

// onClose adds what Close closes: what was opened last is closed first.
func (n *Node) onClose(f func() error) { n.closers = append(n.closers, f) }

// errStuck says that what runs in the background does not end.
var errStuck = errors.New("something in the background does not end: the database stays open until the process ends, and nothing that was stored is lost")

// Close stops the node and waits until it has stopped. What a full disk holds up
// it leaves to the end of the process: the next start reads the log.
func (n *Node) Close() error {
	n.stop()
	defer n.silence()
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		err := n.closers[i]()
		if errors.Is(err, recordstore.ErrFull) {
			n.log.Warn("closing on a full disk", "err", err)
			continue
		}
		errs = append(errs, err)
		if errors.Is(err, errStuck) {
			break
		}
	}
	n.closers = nil
	return errors.Join(errs...)
}

// waitForBackground returns when all that runs in the background has ended.
func (n *Node) waitForBackground() error {
	over := make(chan struct{})
	go func() { // ends with the last of it
		n.running.Wait()
		close(over)
	}()
	limit := time.NewTimer(closeTimeout)
	defer limit.Stop()
	select {
	case <-over:
		return nil
	case <-limit.C:
		return errStuck
	}
}

// Stopping is closed when somebody has asked the node to stop.
func (n *Node) Stopping() <-chan struct{} { return n.stopping }

func (n *Node) openKeys() error {
	bad := func(err error) error {
		return fmt.Errorf("the config of %s has no valid Identity: %w; restore the file from a backup", string(n.repo), err)
	}
	b, err := base64.StdEncoding.DecodeString(n.config.Identity.PrivKey)
	if err != nil {
		return bad(err)
	}
	if n.priv, err = ipns.ParsePrivateKey(b); err != nil {
		return bad(err)
	}
	if n.name, err = ipns.NameOf(n.priv.GetPublic()); err != nil {
		return bad(err)
	}
	if id := n.name.PeerID().String(); id != n.config.Identity.PeerID {
		return bad(fmt.Errorf("PrivKey is that of %s, not of PeerID %s", id, n.config.Identity.PeerID))
	}
	files, err := keystore.Open(n.repo.Keystore())
	if err != nil {
		return err
	}
	// Nobody else writes: the caller holds the lock.
	if err := errors.Join(n.repo.Clean(), files.Clean()); err != nil {
		n.log.Warn("leftovers of a crash stay", "err", err)
	}
	if n.keys, err = keystore.NewKeyring(files, n.priv); err != nil {
		return err
	}
	n.keys.Begin = func(ctx context.Context, name ipns.Name) error { return n.book.Create(ctx, name) }
	return nil
}

func (n *Node) openNetwork(ctx context.Context, o Options) error {
	var err error
	n.besides = o.Bootstrap
	if n.boot.peers, err = bootstrapPeers(n.config.Bootstrap, n.besides); err != nil {
		return err
	}
	relays := &relaySource{}
	if n.host, err = newHost(n.priv, &n.config, relays.peers); err != nil {
		return err
	}
	n.onClose(n.host.Close)
	if n.reach, err = watchReachability(n.host); err != nil {
		return err
	}
	n.onClose(n.reach.close)
	if err := n.openDHT(ctx); err != nil {
		return err
	}
	relays.dht.Store(n.dht.Dual.WAN)
	return nil
}

func (n *Node) openDHT(ctx context.Context) error {
	mode, err := dhtMode(n.config.Routing.Type)
	if err != nil {
		return err
	}
	datastore, err := content.Datastore(n.db, n.disk.Spare)
	if err != nil {
		return err
	}
	n.onClose(datastore.Close)
	n.dht, err = dht.New(n.host, dht.Config{
		Mode:          mode,
		Store:         datastore,
		Values:        dht.Limit{Count: n.config.Routing.MaxValues, Bytes: n.config.Routing.MaxValueBytes},
		Providers:     dht.Limit{Count: n.config.Routing.MaxProviders, Bytes: n.config.Routing.MaxProviderBytes},
		Scarce:        n.disk.Scarce,
		Bootstrap:     n.boot.list,
		Signs:         n.boot.signs,
		LoopbackOnLAN: n.config.Routing.LoopbackAddressesOnLanDHT,
		Opener:        &n.opener,
		Visits:        n.config.Ipns.SweepVisits,
		Heard:         n.heard,
		Log:           n.log,
	})
	if err != nil {
		return err
	}
	n.onClose(n.dht.Close)
	return n.dht.Bootstrap(ctx)
}

// heard is told of records that others put on this node's DHT server. Those of
// names that are held here enter the Book; the others rest with the server.
func (n *Node) heard(name ipns.Name, raw []byte) {
	if r := n.hearer.Load(); r != nil {
		r.Heard(name)
	}
	select {
	case n.hearing <- struct{}{}:
	default:
		return // a flood: the record rests with the server, and a search finds it there
	}
	// Taking one may wait for the disk, which the server must not.
	n.background(func() {
		defer func() { <-n.hearing }()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if _, err := n.book.Get(ctx, name); errors.Is(err, recordstore.ErrNotFound) {
			return
		}
		rec, err := ipns.Open(name, raw, time.Now())
		if err != nil {
			return
		}
		if _, err := n.book.Take(ctx, rec, names.Entrance{Origin: recordstore.Seen}); err != nil {
			n.log.Warn("record that was put here is not kept", "name", name, "err", err)
		}
	})
}

func (n *Node) openContent(ctx context.Context) error {
	o := content.Options{DB: n.db, Writes: n.disk.Spare, Host: n.host, Log: n.log}
	if n.dht != nil {
		o.Router = joiningContent{n.dht.Dual, n}
	}
	var err error
	if n.content, err = content.Open(ctx, o); err != nil {
		return err
	}
	n.onClose(n.content.Close)
	return nil
}
