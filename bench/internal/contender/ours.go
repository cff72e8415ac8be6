package contender

import (
	"context"
	"errors"
	"fmt"
	"slices"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

// ours is routing/dht.
var ours = Contender{
	Name:        "ours",
	Explores:    true,
	PublishAcks: []int{10, 15, 20},
	ResolveAcks: []int{1, 3},
	Sweeps:      true,
	Reads:       true,
	Start:       startOurs,
}

// oursClient is a Router over a kad-dht. Until it explores it is to know no more
// than a bootstrapped node does, so that each operation has a new Router.
type oursClient struct {
	kad      *kaddht.IpfsDHT
	router   *dht.Router
	store    Store // nil: none
	explored bool
}

func startOurs(ctx context.Context, s Setup) (Client, error) {
	for _, p := range s.Bootstrap {
		if err := s.Host.Connect(ctx, p); err != nil {
			return nil, fmt.Errorf("connecting to a bootstrap server: %w", err)
		}
	}
	d, err := kaddht.New(s.Host,
		kaddht.Mode(kaddht.ModeClient),
		kaddht.ProtocolPrefix("/goipns"),
		kaddht.V1ProtocolOverride(dht.ProtocolWAN),
		kaddht.Validator(dht.Validator(nil)),
		kaddht.RoutingTableFilter(kaddht.PublicRoutingTableFilter),
		kaddht.QueryFilter(kaddht.PublicQueryFilter),
		kaddht.BootstrapPeers(s.Bootstrap...))
	if err != nil {
		return nil, fmt.Errorf("starting the DHT: %w", err)
	}
	if err := settle(d); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	c := &oursClient{kad: d, store: s.Store}
	c.renew()
	return c, nil
}

// renew replaces the Router, and with it all that it knows, by a new one.
func (c *oursClient) renew() {
	if c.explored {
		return
	}
	if c.router != nil {
		c.router.Close()
	}
	c.router = dht.NewRouter(c.kad, dht.RouterConfig{Network: "wan", Visits: 512})
}

func (c *oursClient) Close() error { return errors.Join(c.router.Close(), c.kad.Close()) }

func (c *oursClient) Explore(ctx context.Context) error {
	_, err := c.router.Explore(ctx, keyspace.Region{}, 256)
	c.explored = true
	return err
}

func (c *oursClient) Publish(ctx context.Context, n *Name, acked func(int)) error {
	c.renew()
	took := 0
	for ack, err := range c.router.Put(ctx, n.Next, routing.Look{Before: true, Clock: true}) {
		if err != nil {
			return err
		}
		if ack.Err == nil && !ack.Extra {
			took++
			acked(took)
		}
	}
	return nil
}

func (c *oursClient) Resolve(ctx context.Context, n ipns.Name, agreed func(int, string)) error {
	c.renew()
	count := map[string]int{}
	for answer, err := range c.router.Search(ctx, n) {
		if err != nil {
			return err
		}
		if answer.Record != nil {
			value := answer.Record.Value()
			count[value]++
			agreed(count[value], value)
		}
	}
	return nil
}

// Republish sweeps the names, in the order in which a store has them.
func (c *oursClient) Republish(ctx context.Context, names []*Name) error {
	if c.store != nil {
		return c.republishStored(ctx)
	}
	sorted := slices.SortedFunc(slices.Values(names), func(a, b *Name) int {
		return keyspace.Key(a.Last.Name().Kad()).Compare(b.Last.Name().Kad())
	})
	records := func(yield func(*ipns.Record) bool) {
		for _, n := range sorted {
			if !yield(n.Last) {
				return
			}
		}
	}
	for _, err := range c.router.Sweep(ctx, keyspace.Region{}, records) {
		if err != nil {
			return err
		}
	}
	return nil
}
