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

// RouterConfig says on which network a Router works.
type RouterConfig struct {
	// Network names the network in every Ack and Answer: "wan", "lan".
	Network string

	// Protocol is what the servers speak. Empty: ProtocolWAN.
	Protocol protocol.ID

	// Addrs keeps those addresses of a server that are of use on this network.
	// Nil keeps all.
	Addrs func([]ma.Multiaddr) []ma.Multiaddr

	// Map is what is known of the servers. Nil: nothing yet.
	Map *Map

	// Opener verifies what servers answer. Nil: one is made.
	Opener *routing.Opener

	// Visits is how many servers a sweep visits at once. 0: 64.
	Visits int

	// Older reports whether this node knows that something newer than a record was
	// published: a search then gives it to no server. Nil: nothing is known.
	Older func(context.Context, *ipns.Record) bool

	// Log is told of what looks like an attack. Nil: nobody is.
	Log *slog.Logger

	// Expected names the network that should have servers; empty: none need have.
	// Where that is this one and no server is reached, operations end with
	// routing.ErrAway. Where it is another one, silence here proves nothing: a search
	// that too few answered is no incomplete one. Nil: none is expected.
	Expected func() string
}

// Router is the client of one DHT: it puts records on its servers and searches
// for them. It relies on kad-dht for a routing table to start from and for an
// estimate of the network's size; the rest it does itself.
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
	pace  atomic.Uint64 // of sweeps, the bits of a float64

	answered atomic.Int64 // when a server last answered, in Unix nanoseconds; 0: never

	mu         sync.Mutex
	exploredAt map[keyspace.Region]time.Time // at most maxExplored
	walkedAt   time.Time                     // when a put's walk last converged
}

var _ routing.Router = (*Router)(nil)

// NewRouter makes a Router. Close ends it.
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

// Network is the name of its network in every Ack and Answer.
func (r *Router) Network() string { return r.network }

// Map is what the Router knows of the servers of its network.
func (r *Router) Map() *Map { return r.servers }

// Close ends all requests and streams of the Router. What it ran on stays.
func (r *Router) Close() error {
	r.sender.close()
	return nil
}

// medianRTT is the median of the known round-trip times of the nodes, or a
// moderate one if none is known.
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
