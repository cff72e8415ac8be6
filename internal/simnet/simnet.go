// Package simnet is an in-memory network: thousands of simulated Kademlia servers, and
// hosts on which real client code runs against them in virtual time.
//
// Real and simulated parts. The client is production code: it gets a host.Host, opens
// streams and exchanges the protobuf messages of /ipfs/kad/1.0.0. The servers simulate
// those of kad-dht. Their routing tables are chosen from all servers by the rules of
// Kademlia's buckets. They store records (the best valid one by ipns.Compare; refusing
// one resets the stream) and provider records, answer the requests of a stream in order,
// and support no other protocol. A dial takes two round trips (handshake and identify), a
// request one. bench/README.md lists what is left out.
//
// Time. A Network must be used inside a testing/synctest bubble ([Main] makes one for a
// command). All waiting is then virtual, and a latency is the number of round trips that
// a protocol needs, exact and independent of the machine.
//
// Determinism. Config.Seed alone determines all servers: ids, places, speed and
// behaviour. An answer depends on the server, the request and what was stored before,
// never on the order of goroutines. Answers from different servers never arrive at the
// same instant (see [Network.instant]), so the client sees one event at a time in an
// order determined by the seed. Within one instant, Go's scheduler decides the order
// inside the client.
//
// Ground truth. The methods of Network return what only an outside observer can know:
// which servers are closest, hold a record, or are dead. A host and its connections and
// streams have no exported way to reach the Network, so a client cannot cheat.
package simnet

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goipns/ipns/internal/keyspace"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Protocol is the protocol of every server.
const Protocol protocol.ID = "/ipfs/kad/1.0.0"

// BucketSize is Kademlia's k: the entries of a bucket, the peers in an answer,
// and the copies of a record.
const BucketSize = 20

// Config configures a Network.
type Config struct {
	Servers int     // dead ones included; 0 means 10,000
	Profile Profile // zero: [Ideal]
	Seed    uint64
}

// A Network is a set of simulated servers and the hosts attached to it. Its methods are
// for the test harness: they return the ground truth and take no virtual time.
type Network struct {
	profile Profile
	seed    uint64
	ahead   atomic.Int64 // time.Duration: the servers' clocks
	opener  opener
	counted counted

	mu      sync.RWMutex
	servers []*server // servers in the network now, by key
	byID    map[peer.ID]*server
	born    uint32 // servers created so far
	epoch   uint32 // counts changes of servers; routing tables of an older epoch are stale
	hosts   []*simHost
}

// New returns a network. Call it inside the bubble in which the network is used.
func New(cfg Config) *Network {
	if cfg.Servers == 0 {
		cfg.Servers = 10_000
	}
	if cfg.Profile == (Profile{}) {
		cfg.Profile = Ideal
	}
	n := &Network{
		profile: cfg.Profile,
		seed:    cfg.Seed,
		byID:    make(map[peer.ID]*server, cfg.Servers),
	}
	for range cfg.Servers {
		n.add(n.spawn())
	}
	n.changed()
	return n
}

// random returns a random source determined by the seed, a purpose and a number.
func (n *Network) random(purpose string, i uint64) *rand.Rand {
	h := sha256.New()
	h.Write([]byte(purpose))
	h.Write(binary.BigEndian.AppendUint64(nil, n.seed))
	h.Write(binary.BigEndian.AppendUint64(nil, i))
	sum := h.Sum(nil)
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:])))
}

// spawn makes the next server according to the profile.
func (n *Network) spawn() *server {
	r := n.random("server", uint64(n.born))
	return n.newServer(randomID(r), n.profile.draw(r))
}

// randomID returns the id of an Ed25519 key whose private key nobody has.
func randomID(r *rand.Rand) peer.ID {
	id := append(make([]byte, 0, 38), 0x00, 0x24, 0x08, 0x01, 0x12, 0x20)
	for range 4 {
		id = binary.BigEndian.AppendUint64(id, r.Uint64())
	}
	return peer.ID(id)
}

func (n *Network) newServer(id peer.ID, t temper) *server {
	s := &server{net: n, id: id, key: keyspace.KeyOf([]byte(id)), slot: n.born, values: map[string]*value{}}
	s.salt = binary.BigEndian.Uint64(s.key[24:])
	s.rtt.Store(int64(t.rtt))
	s.behaviour.Store(uint32(t.behaviour))
	s.addr = address(n.born)
	s.wire = wirePeer(id, s.addr)
	n.born++
	return s
}

// Every change of n.servers is a series of add or remove calls, then one call of changed.
// The caller holds n.mu or has exclusive access.
func (n *Network) add(s *server) {
	n.servers = append(n.servers, s)
	n.byID[s.id] = s
}

func (n *Network) changed() {
	slices.SortFunc(n.servers, func(a, b *server) int { return a.key.Compare(b.key) })
	n.epoch++
}

// within returns the servers whose keys lie in the region. The caller holds n.mu.
func (n *Network) within(r keyspace.Region) []*server {
	byKey := func(s *server, k keyspace.Key) int { return s.key.Compare(k) }
	from, _ := slices.BinarySearchFunc(n.servers, r.First(), byKey)
	to, found := slices.BinarySearchFunc(n.servers, r.Last(), byKey)
	if found {
		to++
	}
	return n.servers[from:to]
}

const (
	slotPeriod = 1 << 20 // nanoseconds: about a millisecond
	slots      = 1 << 15
	lanes      = slotPeriod / slots

	// The lanes of one server.
	dialLane        = 0
	identifyLane    = 1
	identifiedLane  = 2
	firstStreamLane = 3
)

// instant moves t by at most half a millisecond, to the nearest instant that belongs to
// the slot. Each server has its own instant in every period, so no two servers act in the
// same nanosecond. Go's virtual clock fires timers of the same instant in random order;
// without this, answers to one batch of requests with a constant round-trip time would
// arrive in random order. Lanes separate the streams to one server.
func (n *Network) instant(slot, lane uint32, t time.Time) time.Time {
	want := int64(slot%slots)*lanes + int64(lane%lanes)
	shift := (want - t.UnixNano()%slotPeriod + slotPeriod) % slotPeriod
	if shift > slotPeriod/2 {
		shift -= slotPeriod
	}
	t = t.Add(time.Duration(shift))
	if !t.After(time.Now()) {
		t = t.Add(slotPeriod)
	}
	return t
}

// after calls f at the slot's instant nearest to d from now.
func (n *Network) after(slot, lane uint32, d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(time.Until(n.instant(slot, lane, time.Now().Add(d))), f)
}

// Close closes every host of the network.
func (n *Network) Close() {
	n.mu.Lock()
	hosts := slices.Clone(n.hosts)
	n.mu.Unlock()
	for _, h := range hosts {
		h.Close()
	}
}

// attached returns the state of a host that NewHost made.
func (n *Network) attached(h host.Host) *simHost {
	own, ok := h.(*simHost)
	if !ok || own.net != n {
		panic("simnet: this host is not of this network")
	}
	return own
}
