package contender

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/goipns/ipns"
	boxoipns "github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/keystore"
	"github.com/ipfs/boxo/namesys"
	"github.com/ipfs/boxo/namesys/republisher"
	"github.com/ipfs/boxo/path"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/dual"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/routing"
)

// boxo is boxo/namesys over the dual kad-dht, with the options that Kubo 0.43
// gives them. Publish tells nothing of its acknowledgements: it returns after 20
// attempts, whatever became of them. Resolve wants 16 answers, and one more.
var boxo = Contender{
	Name:        "boxo",
	PublishAcks: []int{20},
	ResolveAcks: []int{17},
	Sweeps:      true,
	Resigns:     true,
	Start:       startBoxo,
}

type boxoClient struct {
	dht   *dual.DHT
	names namesys.NameSystem
	store ds.Datastore
	puts  *countedPuts
}

func startBoxo(ctx context.Context, s Setup) (Client, error) {
	// kad-dht would connect to two of them, chosen in another order each time.
	for _, p := range s.Bootstrap {
		if err := s.Host.Connect(ctx, p); err != nil {
			return nil, fmt.Errorf("connecting to a bootstrap server: %w", err)
		}
	}
	store := dssync.MutexWrap(ds.NewMapDatastore())
	d, err := dual.New(s.Host,
		dual.DHTOption(
			dht.Concurrency(10),
			dht.Mode(dht.ModeAuto),
			dht.Datastore(store),
			dht.Validator(validators(s.Host.Peerstore())),
		),
		dual.WanDHTOption(dht.BootstrapPeers(s.Bootstrap...)),
	)
	if err != nil {
		return nil, fmt.Errorf("starting the DHT: %w", err)
	}
	c := &boxoClient{dht: d, store: store, puts: &countedPuts{ValueStore: d}}
	c.names, err = namesys.NewNameSystem(c.puts, namesys.WithDatastore(store), namesys.WithCache(128))
	if err == nil {
		err = errors.Join(settle(d.WAN), c.remember(ctx, s.Names))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting namesys: %w", err), d.Close())
	}
	return c, nil
}

// validators are what kad-dht demands on the public protocol.
func validators(keys peerstore.KeyBook) record.Validator {
	return record.NamespacedValidator{"pk": record.PublicKeyValidator{}, "ipns": boxoipns.Validator{KeyBook: keys}}
}

// settle refreshes the routing table until it is full, as after the first minutes
// of a node.
func settle(d *dht.IpfsDHT) error {
	for range 3 {
		time.Sleep(time.Second)
		if err := <-d.ForceRefresh(); err != nil {
			return fmt.Errorf("refreshing the routing table: %w", err)
		}
	}
	time.Sleep(30 * time.Second)
	return nil
}

// remember makes the last records those that this node published.
func (c *boxoClient) remember(ctx context.Context, names []*Name) error {
	for _, n := range names {
		if err := c.store.Put(ctx, namesys.IpnsDsKey(boxoName(n.Last.Name())), n.Last.Raw()); err != nil {
			return err
		}
	}
	return nil
}

func boxoName(n ipns.Name) boxoipns.Name { return boxoipns.NameFromPeer(n.PeerID()) }

func (c *boxoClient) Close() error { return c.dht.Close() }

func (c *boxoClient) Publish(ctx context.Context, n *Name, acked func(int)) error {
	value, err := path.NewPath(n.Next.Value())
	if err != nil {
		return err
	}
	if err := c.names.Publish(ctx, n.Key, value); err != nil {
		return err
	}
	acked(20)
	return nil
}

func (c *boxoClient) Resolve(ctx context.Context, n ipns.Name, agreed func(int, string)) error {
	result, err := c.names.Resolve(ctx, boxoName(n).AsPath())
	if err != nil {
		return err
	}
	agreed(17, result.Path.String())
	return nil
}

// Republish runs boxo's republisher for one turn over a keystore with the names.
func (c *boxoClient) Republish(ctx context.Context, names []*Name) error {
	if err := c.remember(ctx, names); err != nil {
		return err
	}
	keys := sortedKeys{keystore.NewMemKeystore()}
	for i, n := range names {
		if err := keys.Put(fmt.Sprintf("%07d", i), n.Key); err != nil {
			return err
		}
	}
	self, _, err := crypto.GenerateKeyPair(crypto.Ed25519, 0)
	if err != nil {
		return err
	}
	r := republisher.NewRepublisher(c.names, c.store, self, keys)
	r.Interval = time.Millisecond // until the first turn: it would wait a minute
	finished := make(chan struct{})
	stop := func() {}
	c.puts.after(len(names), func() { stop(); close(finished) })
	stop = r.Run()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		stop()
		return ctx.Err()
	}
}

// sortedKeys is a keystore that lists its keys in the same order each time.
type sortedKeys struct{ *keystore.MemKeystore }

func (k sortedKeys) List() ([]string, error) {
	names, err := k.MemKeystore.List()
	slices.Sort(names)
	return names, err
}

// countedPuts is a router that counts its PutValues: a republisher tells nobody
// that it has done a turn.
type countedPuts struct {
	routing.ValueStore

	mu   sync.Mutex
	left int
	then func()
}

// after calls f when that many more calls of PutValue have ended.
func (c *countedPuts) after(calls int, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.then = calls, f
}

func (c *countedPuts) PutValue(ctx context.Context, key string, value []byte, opts ...routing.Option) error {
	err := c.ValueStore.PutValue(ctx, key, value, opts...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 && c.then != nil {
		c.then()
	}
	return err
}
