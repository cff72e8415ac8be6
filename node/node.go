// Package node is an IPNS node for a Go program: it publishes names, resolves them and
// keeps them alive, with a repo on disk that survives every crash.
//
// There are three levels of using it.
//
// One call does the usual: [Open] makes a running node, [Node.Publish], [Node.Put],
// [Node.Resolve] and [Node.Watch] work on it, and while it is open it announces its
// names again in time.
//
//	n, err := node.Open(ctx, node.Config{Dir: "/var/lib/names"})
//	if err != nil {
//		return err
//	}
//	defer n.Close()
//	res, err := n.Publish(ctx, "self", publisher.Request{Value: "/ipfs/bafkqaaa"})
//
// The fields of [Node] are its parts, wired to each other: the keys, the Book of names,
// publisher, resolver, republisher, content, host and DHT. Each has a package whose
// documentation says what it promises, and works without a Node too.
//
// The parts meet at interfaces that a program can implement: [routing.Router] is where
// names are put and searched, and goes into [Config]; ipns.Signer signs with a key that
// is elsewhere, for Publisher.Publish; recordstore.Store is where a names.Book rests.
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/libp2p/go-libp2p/core/crypto"
	corehost "github.com/libp2p/go-libp2p/core/host"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/internal/metrics"
	"github.com/goipns/ipns/internal/relay"
	"github.com/goipns/ipns/internal/repair"
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
	"github.com/goipns/ipns/routing/pubsub"
	"github.com/goipns/ipns/rpc"
)

// Config says how a node runs, beside what the file config of its repo says. The zero
// value is a node on the public network, in the repo that the command ipns uses.
type Config struct {
	// Dir is the folder of the repo; Open makes a repo there if there is none. "":
	// $IPNS_PATH, or .ipns in the home directory.
	Dir string
	// Profile changes the config of a repo that Open makes: "server", "test" and so
	// on, as ipns init --profile; "": nothing.
	Profile string
	// Offline makes a node that opens no host and joins no network. It publishes to
	// its repo, and resolves what that has.
	Offline bool
	// Bootstrap are more peers to join the networks by, as multiaddrs that end with
	// /p2p/ and a peer id, beside those of the config.
	Bootstrap []string
	// Pubsub replaces the config's Ipns.UsePubsub; nil: it does not.
	Pubsub *bool
	// Routing replaces the config's Routing.Type; "": it does not.
	Routing string
	// Router is where names are put and searched, also by an offline node; nil: the
	// DHTs that the node has joined.
	Router routing.Router
	// API makes what Run serves on the address Addresses.API of the config; nil:
	// nothing is served there.
	API func(*Node) *rpc.Mux
	// ReadOnFull makes a node that reads on a disk that is full, and refuses to
	// write; false: such a node does not open.
	ReadOnFull bool
	// Salvage makes a new database of what can be read of one that is damaged as a
	// whole, and keeps the old one beside it; false: the error is ErrDamaged.
	Salvage bool
	// Log gets what is worth knowing in the background; nil: nothing.
	Log *slog.Logger
}

// closeTimeout bounds how long Close waits for what is going on.
const closeTimeout = 10 * time.Second

// Node is a running node. Its parts are for programs that need more of them than its
// methods offer; they live until Close. Do not change its fields.
type Node struct {
	Repo     repo.Repo
	Settings repo.Config // the file config of the repo, as it was when the node started
	Log      *slog.Logger

	Key  crypto.PrivKey // of the name self
	Name ipns.Name      // self
	Keys *keystore.Keyring

	Book    *names.Book
	Content *content.Store

	Opener      routing.Opener
	Router      routing.Router // nil: there is nobody to put to and to search
	Publisher   *publisher.Publisher
	Republisher *republisher.Republisher // runs if there is a Router
	Resolver    *resolver.Resolver

	Repair   *repair.Repairer
	Salvaged *store.Salvaged // what Config.Salvage did; nil: nothing
	Metrics  *metrics.Metrics

	Network *host.Network
	// nil offline
	Host   corehost.Host
	DHT    *dht.DHT
	Pubsub *pubsub.Router // nil too if names do not travel by pubsub

	api         *rpc.Mux // what the API serves; nil: there is none
	disk        *store.Disk
	db          *pebble.DB
	records     *store.Store
	resolverRef atomic.Pointer[resolver.Resolver] // Resolver once it is set; the DHT runs before that
	relay       *relay.Relay                      // nil offline

	stopping chan struct{} // closed by Stop
	stopOnce sync.Once
	stop     context.CancelFunc // ends what runs in the background
	silence  context.CancelFunc // ends the announcements, which get some time after stop
	running  sync.WaitGroup
	closers  []func() error // in the order of opening
}

// Open starts a node on the repo in c.Dir, which no other process may be using. It does
// not wait until the networks are joined: what is published or resolved in the first
// seconds waits itself. Close the node when it is done.
func Open(ctx context.Context, c Config) (*Node, error) {
	r, err := repo.Default()
	if c.Dir != "" {
		r, err = repo.At(c.Dir)
	}
	if err != nil {
		return nil, err
	}
	if !r.Exists() {
		if err := create(ctx, r, c.Profile); err != nil {
			return nil, err
		}
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	lock, err := r.Lock()
	if err != nil {
		return nil, err
	}
	n, err := New(ctx, r, c)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	n.closers = append([]func() error{lock.Unlock}, n.closers...)
	return n, nil
}

// create makes a repo with a new key.
func create(ctx context.Context, r repo.Repo, profile string) error {
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
	return Init(ctx, r, config)
}

// Publish publishes a value under a key of the node, which key is the label or the name
// of; "" is self. It returns once the record is on disk here and, unless the node has
// nobody to put it to, as many servers as req.Wait says have it. With a key that is
// elsewhere, use n.Publisher.
func (n *Node) Publish(ctx context.Context, key string, req publisher.Request) (publisher.Result, error) {
	found, err := n.Keys.Find(cmp.Or(key, "self"))
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

// Put keeps and announces a record that was signed elsewhere, and from now on keeps it
// alive until it expires.
func (n *Node) Put(ctx context.Context, rec *ipns.Record) (publisher.Result, error) {
	return n.Publisher.Put(ctx, rec, publisher.PutRequest{Wait: n.Waits(publisher.WaitDefault)})
}

// Waits is what a publish waits for that asks for something: a node that has nobody to
// put to waits for nobody.
func (n *Node) Waits(asked publisher.Wait) publisher.Wait {
	if n.Router == nil {
		return publisher.WaitStored
	}
	return asked
}

// Resolve yields what a name, a domain or a path of them leads to: the first valid answer
// at once, then newer ones, at last what the whole search came to, which is Final. Break
// when one will do.
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
// does; without names all of them.
func (n *Node) Watch(ctx context.Context, since recordstore.Position, of ...ipns.Name) iter.Seq2[recordstore.Change, error] {
	return n.Book.Watch(ctx, since, of...)
}

// Run serves what the config has addresses for, the gateway and others, until ctx ends or
// Stop is called. A node that does not serve needs no Run: it announces its names as long
// as it is open.
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
