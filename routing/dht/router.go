package dht

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing"
)

// RouterConfig configures a Router for one network.
type RouterConfig struct {
	// Network names the network in every Ack and Answer: "wan", "lan".
	Network string

	// Protocol is the protocol of the servers. Empty: ProtocolWAN.
	Protocol protocol.ID

	// Addrs filters out server addresses that are unusable on this network.
	// Nil keeps all.
	Addrs func([]ma.Multiaddr) []ma.Multiaddr

	// Map holds the known servers. Nil: an empty one.
	Map *Map

	// Opener verifies the records in answers. Nil: a new one.
	Opener *routing.Opener

	// Visits is how many servers a sweep visits at once. 0: 64.
	Visits int

	// Older reports whether this node knows of a newer record than the given one. A
	// search then does not spread the older one. Nil: no record is known to be older.
	Older func(context.Context, *ipns.Record) bool

	// Log receives warnings about possible attacks. Nil: none are logged.
	Log *slog.Logger

	// Expected names the network that should have servers; empty: none need to.
	// If it is this network and no server can be reached, operations fail with
	// routing.ErrAway. If it is another network, servers missing here mean nothing:
	// a search with too few answers is not reported as incomplete. Nil: no network
	// is expected.
	Expected func() string
}

// Router is the client of one DHT. It puts records on the servers and searches for
// them. It takes only its starting servers and its estimate of the network size
// from kad-dht.
type Router struct {
	kad     *kaddht.IpfsDHT
	host    host.Host
	table   *kbucket.RoutingTable
	servers *Map
	sender  *sender
	network string
	filter  func([]ma.Multiaddr) []ma.Multiaddr
	opener  *routing.Opener
	older   func(context.Context, *ipns.Record) bool // may be nil
	log     *slog.Logger
	visits  int
	expect  func() string       // names the network that should have servers; may be nil
	own     *records.ValueStore // what this node's own server answers with; may be nil

	keeps keeps
	pace  atomic.Uint64 // of sweeps, in records per second, as float64 bits

	answered atomic.Int64 // when a server last answered, in Unix nanoseconds; 0: never

	mu         sync.Mutex
	exploredAt map[keyspace.Region]time.Time // at most maxExplored
	walkedAt   time.Time                     // when a put's walk last converged
}

var _ routing.Router = (*Router)(nil)

// NewRouter returns a Router. The caller must Close it.
func NewRouter(kad *kaddht.IpfsDHT, c RouterConfig) *Router {
	r := &Router{
		kad: kad, host: kad.Host(), table: kad.RoutingTable(),
		servers: c.Map, network: c.Network, filter: c.Addrs, opener: c.Opener, older: c.Older, log: c.Log,
		visits: c.Visits, expect: c.Expected, exploredAt: make(map[keyspace.Region]time.Time),
	}
	if r.servers == nil {
		r.servers = new(Map)
	}
	if r.filter == nil {
		r.filter = func(addrs []ma.Multiaddr) []ma.Multiaddr { return addrs }
	}
	if r.opener == nil {
		r.opener = new(routing.Opener)
	}
	if r.visits <= 0 {
		r.visits = sweepParallel
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if c.Protocol == "" {
		c.Protocol = ProtocolWAN
	}
	r.sender = newSender(r.host, c.Protocol, r.servers.addrs)
	return r
}

// Network returns the name of the network, as used in every Ack and Answer.
func (r *Router) Network() string { return r.network }

// Map returns the Router's map of servers.
func (r *Router) Map() *Map { return r.servers }

// Close ends all requests and streams of the Router. It leaves the host and the
// kad-dht instance open.
func (r *Router) Close() error {
	r.sender.close()
	return nil
}

// medianRTT returns the median of the known round-trip times of the nodes, or a
// typical value if none is known.
func medianRTT(nodes []*node) time.Duration {
	const unknown = 100 * time.Millisecond
	rtts := make([]time.Duration, 0, len(nodes))
	for _, n := range nodes {
		if n.rtt > 0 {
			rtts = append(rtts, n.rtt)
		}
	}
	if len(rtts) == 0 {
		return unknown
	}
	slices.Sort(rtts)
	return rtts[len(rtts)/2]
}
