package dht

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/namespace"
	dssync "github.com/ipfs/go-datastore/sync"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/dual"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// The protocols of the two networks.
const (
	ProtocolWAN protocol.ID = "/ipfs/kad/1.0.0"
	ProtocolLAN protocol.ID = "/ipfs/lan/kad/1.0.0"
)

// Config configures this node's part in the DHTs. The zero value works, and stores
// everything in memory.
type Config struct {
	// Mode says whether this node serves other peers. By default it serves on the
	// public network once it is known to be reachable, and always on the LAN.
	Mode kaddht.ModeOpt

	// Store keeps what other peers put here: values under /dht, and provider records.
	// Nil: in memory.
	Store ds.Batching

	// Values limits the records and keys, and Providers the provider records, that
	// this node keeps for other peers. Zero fields mean those of DefaultValueLimit and
	// DefaultProviderLimit. The same limit applies again to this node's own values;
	// its own provider records are not counted.
	Values, Providers Limit

	// Scarce reports that Store has no room for what other peers put here; it is then
	// refused. Nil: there is always room.
	Scarce func() bool

	// Bootstrap returns the bootstrap peers of the public network. Nil: none.
	Bootstrap func() []peer.AddrInfo

	// LoopbackOnLAN keeps the loopback addresses of LAN servers, for networks on one
	// machine.
	LoopbackOnLAN bool

	// LoopbackOnWAN takes the machines of any network for servers of the public one,
	// for tests of programs against servers on one machine.
	LoopbackOnWAN bool

	// Opener verifies records in answers and those that peers put here. Nil: a new one.
	Opener *routing.Opener

	// Visits is how many servers a sweep visits at once. 0: 64.
	Visits int

	// Older is as in RouterConfig.
	Older func(context.Context, *ipns.Record) bool

	// Log receives warnings about possible attacks. Nil: none are logged.
	Log *slog.Logger

	// Received is called with each valid record that other peers put on this node's
	// server, before they are answered. It must not block. May be nil.
	Received func(*ipns.Record)

	// Signs returns the facts for [DHT.Expected]. Nil: no network is expected.
	Signs func() Signs

	// Now is the clock by which records expire. Nil means time.Now.
	Now func() time.Time
}

func (c Config) now() func() time.Time {
	if c.Now == nil {
		return time.Now
	}
	return c.Now
}

func (c Config) scarce() func() bool {
	if c.Scarce == nil {
		return func() bool { return false }
	}
	return c.Scarce
}

func (c Config) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// DHT is this node's part in both networks.
type DHT struct {
	// Dual runs this node's servers and handles provider records. Do not close its two
	// halves separately.
	Dual *dual.DHT

	WAN, LAN *Router

	stop    context.CancelFunc // ends running
	running sync.WaitGroup

	signs func() Signs // may be nil
}

// New joins both networks with the host. Close leaves them; the host stays.
func New(h host.Host, c Config) (*DHT, error) {
	store := c.Store
	if store == nil {
		store = dssync.MutexWrap(ds.NewMapDatastore())
	}
	if c.Opener == nil {
		c.Opener = &routing.Opener{Now: c.Now}
	}
	values, own := newValueStore(namespace.Wrap(store, ds.NewKey("/dht")), h.ID(), c)
	providers := newProviderStore(store, h.ID(), c)
	wan := []kaddht.Option{
		// Under the prefix of the public network kad-dht accepts only boxo's
		// validator. So use a prefix of our own and override the whole protocol id.
		kaddht.ProtocolPrefix("/goipns"),
		kaddht.V1ProtocolOverride(ProtocolWAN),
	}
	if c.Bootstrap != nil {
		wan = append(wan, kaddht.BootstrapPeersFunc(c.Bootstrap))
	}
	wanFilter := publicAddrs
	if c.LoopbackOnWAN {
		wan, wanFilter = append(wan, kaddht.AddressFilter(nil),
			kaddht.QueryFilter(func(any, peer.AddrInfo) bool { return true }),
			kaddht.RoutingTableFilter(func(any, peer.ID) bool { return true }),
			kaddht.RoutingTablePeerDiversityFilter(nil)), nil
	}
	lan, lanFilter := []kaddht.Option{kaddht.Validator(Validator(c.Opener))}, lanAddrs
	if c.LoopbackOnLAN {
		lan, lanFilter = append(lan, kaddht.AddressFilter(nil)), nil
	}
	d, err := dual.New(h,
		dual.DHTOption(kaddht.Mode(c.Mode), kaddht.Datastore(store), kaddht.ValueDatastore(values),
			kaddht.ProviderDatastore(providers), kaddht.OnRequestHook((&door{values: values, providers: providers}).request)),
		dual.WanDHTOption(append(wan, kaddht.Validator(Validator(c.Opener)))...),
		dual.LanDHTOption(lan...))
	if err != nil {
		return nil, fmt.Errorf("joining the DHTs: %w", err)
	}
	joined := &DHT{
		Dual:  d,
		WAN:   c.router(d.WAN, WAN, ProtocolWAN, wanFilter, own),
		LAN:   c.router(d.LAN, LAN, ProtocolLAN, lanFilter, own),
		signs: c.Signs,
	}
	joined.WAN.expect, joined.LAN.expect = joined.Expected, joined.Expected
	ctx, stop := context.WithCancel(context.Background())
	joined.stop = stop
	joined.running.Go(func() { values.load(ctx) })
	joined.running.Go(func() { providers.load(ctx) })
	return joined, nil
}

// router returns the client of one of the two networks.
func (c Config) router(d *kaddht.IpfsDHT, network string, p protocol.ID, filter addrFilter, own *records.ValueStore) *Router {
	r := NewRouter(d, RouterConfig{Network: network, Protocol: p, Addrs: filter, Opener: c.Opener, Older: c.Older, Visits: c.Visits, Log: c.Log})
	r.own = own
	return r
}

// addrFilter returns the addresses that are usable on a network.
type addrFilter = func([]ma.Multiaddr) []ma.Multiaddr

func publicAddrs(addrs []ma.Multiaddr) []ma.Multiaddr {
	return ma.FilterAddrs(addrs, manet.IsPublicAddr)
}

func lanAddrs(addrs []ma.Multiaddr) []ma.Multiaddr {
	return ma.FilterAddrs(addrs, func(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) })
}

// Bootstrap starts filling the routing tables of both networks, and returns at once.
func (d *DHT) Bootstrap(ctx context.Context) error { return d.Dual.Bootstrap(ctx) }

// Close leaves both networks and waits for background work. Close the host before the
// store given to New.
func (d *DHT) Close() error {
	d.stop()
	d.running.Wait()
	return errors.Join(d.WAN.Close(), d.LAN.Close(), d.Dual.Close())
}
