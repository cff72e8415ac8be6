// Package node makes a running node of a repo: host, DHTs, database, content,
// names, gateway and API, wired to each other. It is the one package that knows
// all the parts; what they do is in them.
//
// Whoever makes a Node holds the lock of its repo until the Node is closed.
package node

import (
	"cmp"
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
	corehost "github.com/libp2p/go-libp2p/core/host"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/host"
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
	// API makes what the address of Addresses.API serves; nil: nothing does.
	API func(*Node) *rpc.Mux
	// Log gets what is worth knowing in the background. nil: nothing.
	Log *slog.Logger
}

// closeTimeout bounds how long Close waits for what is going on.
const closeTimeout = 10 * time.Second

// Node is a running node. Its parts are for whoever composes more of them; they
// live until Close.
type Node struct {
	Repo   repo.Repo
	Config repo.Config // as it was when the node started
	Log    *slog.Logger

	Key  crypto.PrivKey // of the name self
	Name ipns.Name      // self
	Keys *keystore.Keyring

	Book    *names.Book
	Content *content.Store

	Opener      routing.Opener
	Router      routing.Router // nil offline
	Publisher   *publisher.Publisher
	Republisher *republisher.Republisher // runs unless offline
	Resolver    *resolver.Resolver

	Network *host.Network
	// nil offline
	Host corehost.Host
	DHT  *dht.DHT

	api         *rpc.Mux // what the API serves; nil: there is none
	disk        *store.Disk
	db          *pebble.DB
	records     *store.Store
	resolverRef atomic.Pointer[resolver.Resolver] // Resolver once it is set; the DHT runs before that
	metrics     metrics

	stopping chan struct{} // closed by Stop
	stopOnce sync.Once
	stop     context.CancelFunc // ends what runs in the background
	silence  context.CancelFunc // ends the announcements, which get some time after stop
	running  sync.WaitGroup
	closers  []func() error // in the order of opening
}

// New starts a node on a repo. If that fails, everything is closed again.
func New(ctx context.Context, r repo.Repo, o Options) (*Node, error) {
	config, err := r.Config()
	if err != nil {
		return nil, err
	}
	if config.Routing.Type = cmp.Or(o.Routing, config.Routing.Type); !o.Offline {
		if _, err := host.Mode(config.Routing.Type); err != nil {
			return nil, err
		}
	}
	n := &Node{Repo: r, Config: config, Log: o.Log, stopping: make(chan struct{})}
	if n.Log == nil {
		n.Log = slog.New(slog.DiscardHandler)
	}
	n.Network = host.New(r, n.Log)
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = stop
	announcing, silence := context.WithCancel(context.WithoutCancel(ctx))
	n.silence = silence
	if err := n.open(ctx, life, announcing, o); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	if o.API != nil {
		n.api = o.API(n)
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
	n.background(func() { _ = n.Book.Run(life) })
	if !o.ReadOnFull {
		n.background(func() { n.mendOwn(life) })
	}
	if !o.Offline {
		n.Republisher.Joined = n.Network.Joined()
		n.background(func() { n.ended("joining the networks", n.Network.Run(life)) })
		n.background(func() { n.ended("announcing names", n.Publisher.Run(announcing)) })
		n.background(func() { n.ended("republishing", n.Republisher.Run(life)) })
	}
	return nil
}

// ended logs why something that should run as long as the node has ended.
func (n *Node) ended(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		n.Log.Error(what+" has stopped", "err", err)
	}
}

// openNames connects publisher and resolver with the Book and the networks.
func (n *Node) openNames() error {
	static, err := resolver.ParseStatic(os.Getenv("IPFS_NS_MAP"))
	if err != nil {
		return fmt.Errorf("environment variable IPFS_NS_MAP: %w", err)
	}
	n.Router = n.Network.Router()
	n.onClose(func() func() error {
		stop := n.Book.Subscribe(n.logRival)
		return func() error { stop(); return nil }
	}())
	n.Publisher = &publisher.Publisher{
		Book:            n.Book,
		Router:          n.Router,
		Expected:        n.Network.Expected,
		Log:             n.Log,
		Lifetime:        time.Duration(n.Config.Ipns.RecordLifetime),
		MaxLifetime:     longLife,
		RepublishPeriod: time.Duration(n.Config.Ipns.RepublishPeriod),
	}
	n.Republisher = &republisher.Republisher{
		Book:      n.Book,
		Router:    n.Router,
		Signers:   n.Keys.Signer,
		Log:       n.Log,
		OwnPeriod: time.Duration(n.Config.Ipns.RepublishPeriod),
		Lifetime:  time.Duration(n.Config.Ipns.RecordLifetime),
	}
	n.onClose(func() error {
		defer n.silence()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		// What could not be announced in this time is announced after the next
		// start.
		if err := n.Publisher.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	})
	n.Resolver = &resolver.Resolver{
		Book:      n.Book,
		Router:    n.Router,
		Opener:    &n.Opener,
		LookupTXT: newDNS(n.Config.DNS).LookupTXT,

		MaxCacheTTL: n.maxCacheTTL(),
		Static:      static,
		CacheSize:   cmp.Or(n.Config.Ipns.ResolveCacheSize, repo.DefaultResolveCacheSize),
	}
	n.onClose(n.Resolver.Close)
	n.resolverRef.Store(n.Resolver)
	return nil
}

// logRival tells of records that another holder of a key has published over one
// from here, however they came in.
func (n *Node) logRival(c names.Change) {
	if c.Rival == nil {
		return
	}
	n.Log.Warn("another holder of this key has published: publish again to replace it, and find out who has the key",
		"name", c.Rival.Name().String(), "sequence", c.Rival.Sequence(), "value", c.Rival.Value())
}

// longLife is the lifetime above which a publish warns.
const longLife = 30 * 24 * time.Hour

// maxCacheTTL is the config's bound in the form of resolver and gateway: 0 for
// none, negative to keep nothing.
func (n *Node) maxCacheTTL() time.Duration {
	switch ttl := n.Config.Ipns.MaxCacheTTL; {
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
			n.Log.Warn("closing on a full disk", "err", err)
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

// Stop asks the node to stop and returns at once: whoever runs it closes it.
func (n *Node) Stop() { n.stopOnce.Do(func() { close(n.stopping) }) }

// Stopping is closed when somebody has asked the node to stop.
func (n *Node) Stopping() <-chan struct{} { return n.stopping }

func (n *Node) openKeys() error {
	bad := func(err error) error {
		return fmt.Errorf("the config of %s has no valid Identity: %w; restore the file from a backup", string(n.Repo), err)
	}
	b, err := base64.StdEncoding.DecodeString(n.Config.Identity.PrivKey)
	if err != nil {
		return bad(err)
	}
	if n.Key, err = ipns.ParsePrivateKey(b); err != nil {
		return bad(err)
	}
	if n.Name, err = ipns.NameOf(n.Key.GetPublic()); err != nil {
		return bad(err)
	}
	if id := n.Name.PeerID().String(); id != n.Config.Identity.PeerID {
		return bad(fmt.Errorf("PrivKey is that of %s, not of PeerID %s", id, n.Config.Identity.PeerID))
	}
	files, err := keystore.Open(n.Repo.Keystore())
	if err != nil {
		return err
	}
	// Nobody else writes: the caller holds the lock.
	if err := errors.Join(n.Repo.Clean(), files.Clean()); err != nil {
		n.Log.Warn("leftovers of a crash stay", "err", err)
	}
	if n.Keys, err = keystore.NewKeyring(files, n.Key); err != nil {
		return err
	}
	n.Keys.Begin = func(ctx context.Context, name ipns.Name) error { return n.Book.Create(ctx, name) }
	return nil
}

func (n *Node) openNetwork(ctx context.Context, o Options) error {
	datastore, err := content.Datastore(n.db, n.disk.Spare)
	if err != nil {
		return err
	}
	n.onClose(datastore.Close)
	n.onClose(n.Network.Close)
	err = n.Network.Open(ctx, &n.Config, host.Options{
		Key:       n.Key,
		Agent:     Agent,
		Bootstrap: o.Bootstrap,
		Store:     datastore,
		Scarce:    n.disk.Scarce,
		Received:  n.received,
		Older:     n.older,
		Opener:    &n.Opener,
	})
	n.Host, n.DHT = n.Network.Host, n.Network.DHT
	return err
}

// older reports whether the Book knows of something newer than a record.
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

func (n *Node) openContent(ctx context.Context) error {
	o := content.Options{DB: n.db, Writes: n.disk.Spare, Host: n.Host, Router: n.Network.ContentRouter(), Log: n.Log}
	var err error
	if n.Content, err = content.Open(ctx, o); err != nil {
		return err
	}
	n.onClose(n.Content.Close)
	return nil
}
