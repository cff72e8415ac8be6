// Package node is an IPNS node for Go programs: it publishes and resolves names and keeps
// them alive, with a repo on disk that survives every crash.
//
// It can be used at three levels.
//
// Most programs need one call: [Open] returns a running node. [Node.Publish], [Node.Put],
// [Node.Resolve] and [Node.Watch] use it, and while it is open it keeps its names alive.
//
//	n, err := node.Open(ctx, node.Config{Dir: "/var/lib/names"})
//	if err != nil {
//		return err
//	}
//	defer n.Close()
//	res, err := n.Publish(ctx, "self", publisher.Request{Value: "/ipfs/bafkqaaa"})
//
// The fields of [Node] are its parts, connected with each other: the keys, the Book of
// names, publisher, resolver, republisher, content, host and DHT. Each has its own
// package and documentation, and also works without a Node.
//
// Programs can implement the interfaces between the parts: a [routing.Router] in [Config]
// puts and searches names; an ipns.Signer signs with a key held elsewhere, for
// Publisher.Publish; a recordstore.Store stores the entries of a names.Book.
//
// The programs in examples/ show each level.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	corehost "github.com/libp2p/go-libp2p/core/host"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/hosting/pins"
	"github.com/goipns/ipns/internal/cluster"
	"github.com/goipns/ipns/internal/denylist"
	"github.com/goipns/ipns/internal/follow"
	"github.com/goipns/ipns/internal/garbage"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/ladder"
	"github.com/goipns/ipns/internal/metrics"
	"github.com/goipns/ipns/internal/provide"
	"github.com/goipns/ipns/internal/records"
	"github.com/goipns/ipns/internal/relay"
	"github.com/goipns/ipns/internal/repair"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/roads"
	"github.com/goipns/ipns/internal/serve"
	"github.com/goipns/ipns/internal/sharedkeys"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	store "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
	"github.com/goipns/ipns/routing/pubsub"
	"github.com/goipns/ipns/rpc"
	"github.com/goipns/ipns/watch"
)

// Config holds settings that are not in the config file of the repo. The zero value is a
// node on the public network, with the default repo of the command ipns.
type Config struct {
	// Dir is the folder of the repo; Open makes a repo there if there is none. "":
	// $IPNS_PATH, or .ipns in the home directory.
	Dir string
	// Profile is applied to the config of a repo that Open makes: "server", "test" and so
	// on, as with ipns init --profile; "": none.
	Profile string
	// Offline means that the node opens no host and joins no network. It publishes to its
	// repo, and resolves from it.
	Offline bool
	// Bootstrap are peers to join the networks by, in addition to those of the config, as
	// multiaddrs that end with /p2p/ and a peer id.
	Bootstrap []string
	// Pubsub overrides the config's Ipns.UsePubsub; nil: the config applies.
	Pubsub *bool
	// Store overrides the config's Ipns.Store; "": the config applies.
	Store string
	// Routing overrides the config's Routing.Type; "": the config applies.
	Routing string
	// Router puts and searches names, even on an offline node; nil: the DHTs that the
	// node has joined.
	Router routing.Router
	// API returns the handler that Run serves at the config's Addresses.API; nil: none is
	// served.
	API func(*Node) *rpc.Mux
	// ReadOnFull lets a node open on a full disk, where it reads and refuses to write;
	// false: it does not open.
	ReadOnFull bool
	// Freeing lets a node open and write with less free space than the reserve, in order to
	// free some.
	Freeing bool
	// Salvage moves what can be read of a database that is damaged as a whole to a new
	// one, and keeps the old one beside it; false: the error is ErrDamaged.
	Salvage bool
	// AgentSuffix follows the agent version that others see, unless the config has
	// Version.AgentSuffix.
	AgentSuffix string
	// Passphrase decrypts the keys; empty: keys that are encrypted stay locked, so that their
	// names are neither published nor renewed.
	Passphrase []byte
	// Encrypt encrypts keys that are in clear with the Passphrase, if there is one.
	Encrypt bool
	// Brief says that the node lives for one command: where daemons share a store, it takes
	// none of their work.
	Brief bool
	// Listeners are used instead of addresses of the config, by their keys: "Addresses.API".
	Listeners map[string]net.Listener
	// Log receives messages from background work; nil: none are logged.
	Log *slog.Logger
}

// closeTimeout bounds how long Close waits for running work.
const closeTimeout = 10 * time.Second

// Node is a running node. Its parts are for programs that need more than its methods;
// they live until Close. Do not change its fields.
type Node struct {
	Repo     repo.Repo
	Settings repo.Config // the config of the repo when the node started
	Log      *slog.Logger
	Agent    string // the agent version that others see

	Key      crypto.PrivKey // of the name self; nil: the keys are locked
	Name     ipns.Name      // self
	Keys     *keystore.Keyring
	Identity *identity.Keys
	HostKey  crypto.PrivKey // of the peer: Key, or while that is locked one for this run

	SharedKeys *sharedkeys.Keys // those that daemons share by the store of names

	Records  *records.Store // all that is on disk, and the names wherever they are
	Book     *names.Book
	Content  *content.Store
	Provider *provide.Provider // announces content

	Opener      routing.Opener
	Router      routing.Router // nil: offline
	Publisher   *publisher.Publisher
	Republisher *republisher.Republisher // runs if there is a Router
	Resolver    *resolver.Resolver
	Watched     *watch.Names    // gives names to readers as they change
	Webhooks    *watch.Webhooks // sends them to receivers
	Follows     *follow.Follower

	Cluster *cluster.Member // among the daemons that share the store; nil: it is not shared

	Hosting *hosting.Host  // the names of others
	Pins    *pins.Pins     // content that is kept for them
	Desk    *ladder.Desk   // signs requests
	Ladders *ladder.Keeper // releases what was signed in advance

	Garbage  *garbage.Collector
	Repair   *repair.Repairer
	Salvaged *store.Salvaged // what Config.Salvage did; nil: nothing
	Metrics  *metrics.Metrics

	Network *host.Network
	Roads   *roads.Roads
	// nil offline
	Host   corehost.Host
	DHT    *dht.DHT
	Finder roads.Finder   // announces and finds content and peers
	Pubsub *pubsub.Router // also nil if pubsub is not enabled

	Servers atomic.Pointer[serve.Servers] // since Serve; nil: none

	listeners   map[string]net.Listener
	api         *rpc.Mux // served by the API; nil: none
	denylists   *denylist.Lists
	resolverRef atomic.Pointer[resolver.Resolver] // Resolver, once set; the DHT starts earlier
	relay       *relay.Relay                      // nil offline

	stopping chan struct{} // closed by Stop
	stopOnce sync.Once
	stop     context.CancelFunc // ends background work
	silence  context.CancelFunc // ends announcements, which get some time after stop
	running  sync.WaitGroup
	closers  []func() error // in the order of opening
}

// Open starts a node on the repo in c.Dir, which no other process may be using. It does
// not wait for the networks: a publish or a search in the first seconds waits itself. The
// caller must Close the node.
func Open(ctx context.Context, c Config) (*Node, error) {
	r, err := repo.Default()
	if c.Dir != "" {
		r, err = repo.At(c.Dir)
	}
	if err != nil {
		return nil, err
	}
	if !r.Exists() {
		if err := create(ctx, r, c.Profile, c.Passphrase); err != nil {
			return nil, err
		}
	}
	lock, err := r.Lock() // of a repo that can be opened
	if err != nil {
		return nil, err
	}
	n, err := New(ctx, r, c)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	if note := lock.Note(); note != "" {
		n.Log.Info(note)
	}
	n.closers = append([]func() error{lock.Unlock}, n.closers...)
	return n, nil
}

// create makes a repo with a new key.
func create(ctx context.Context, r repo.Repo, profile string, passphrase []byte) error {
	config := repo.NewConfig(repo.Identity{})
	if profile != "" {
		if err := config.Apply(profile); err != nil {
			return err
		}
	}
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		return fmt.Errorf("make a repo: %w", err)
	}
	if config.Identity, err = Identity(key); err != nil {
		return fmt.Errorf("make a repo: %w", err)
	}
	return Init(ctx, r, config, passphrase)
}

// Publish publishes a value under a key of the node, given by its label or name; "" is
// self. It returns once the record is on disk and as many servers as req.Wait says have
// it; if the node has no network, storing it is enough. For a key held elsewhere, use
// n.Publisher.
func (n *Node) Publish(ctx context.Context, key string, req publisher.Request) (publisher.Result, error) {
	found, err := n.Keys.Find(ctx, cmp.Or(key, "self"))
	if err != nil {
		return publisher.Result{}, err
	}
	signer, err := n.Keys.Signer(ctx, found.Name)
	if err != nil {
		return publisher.Result{}, err
	}
	req.Wait = n.Waits(req.Wait)
	return n.Publisher.Publish(ctx, signer, req)
}

// Put stores and announces a record that was signed elsewhere, and keeps it alive until
// it expires.
func (n *Node) Put(ctx context.Context, rec *ipns.Record) (publisher.Result, error) {
	return n.Publisher.Put(ctx, rec, publisher.PutRequest{Wait: n.Waits(publisher.WaitDefault)})
}

// Waits returns what a publish waits for if it asks for wait: a node without a network
// does not wait.
func (n *Node) Waits(asked publisher.Wait) publisher.Wait {
	if n.Router == nil {
		return publisher.WaitStored
	}
	return asked
}

// Resolve yields what a name, a domain or a path below one leads to: the first valid
// answer at once, then newer ones, and last the result of the whole search, which is
// Final. Break when one is enough.
func (n *Node) Resolve(ctx context.Context, path string) iter.Seq2[resolver.Resolution, error] {
	return func(yield func(resolver.Resolution, error) bool) {
		path, err := resolver.ParsePath(path)
		if err != nil {
			yield(resolver.Resolution{}, err)
			return
		}
		n.Resolver.Stream(ctx, path, resolver.Options{Confidence: resolver.All})(yield)
	}
}

// Watch yields the names of this node that change after a position, as [names.Book.Watch]
// does; all of them if no names are given.
func (n *Node) Watch(ctx context.Context, since recordstore.Position, of ...ipns.Name) iter.Seq2[recordstore.Change, error] {
	return n.Book.Watch(ctx, since, of...)
}

// Run serves the gateway and everything else for which the config has an address, until
// ctx ends or Stop is called. A node that serves nothing does not need Run: it keeps its
// names alive as long as it is open.
func (n *Node) Run(ctx context.Context) error {
	s, err := n.Serve()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-n.stopping:
	}
	return s.Close()
}

// errStuck means that background work does not end.
var errStuck = errors.New("something in the background does not end: the database stays open until the process ends, and nothing that was stored is lost")

// Close stops the node and waits until it has stopped. Work blocked by a full disk is
// left to the end of the process; the next start reads the log.
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

// waitForBackground returns when all background work has ended.
func (n *Node) waitForBackground() error {
	over := make(chan struct{})
	go func() { // ends with the background work
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

// Stop asks the node to stop and returns at once; its owner closes it.
func (n *Node) Stop() { n.stopOnce.Do(func() { close(n.stopping) }) }

// Stopping returns a channel that is closed when Stop is called.
func (n *Node) Stopping() <-chan struct{} { return n.stopping }

// signer returns the signer of a name as a Publisher wants it.
func (n *Node) signer(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
	s, err := n.Keys.Signer(ctx, name)
	if errors.Is(err, keystore.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", publisher.ErrNoSigner, err)
	}
	return s, err
}
