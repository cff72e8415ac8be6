// Package simnet is a network in memory: thousands of modelled Kademlia
// servers, and hosts on which real client code runs against them in virtual
// time.
//
// What is real and what is modelled. A client is the code that ships: it gets a
// host.Host, opens streams and exchanges the protobuf messages of
// /ipfs/kad/1.0.0. The servers are a model of kad-dht's: their routing tables
// are drawn from the set of all servers as Kademlia's buckets would hold them,
// they keep records (the latest valid one by ipns.Compare, a refused one resets
// the stream) and provider records, answer the requests of a stream in order,
// and serve no other protocol. A dial takes two round trips (handshake and
// identify), a request one. bench/README.md lists what is left out.
//
// Time. A Network must be used inside a testing/synctest bubble ([Run] makes one
// for a command): all waiting is then virtual, and a latency is the number of
// round trips that a protocol needs, exact and independent of the machine.
//
// Determinism. Who exists, where, how fast and how honest is decided by
// Config.Seed alone; an answer depends on the server, the request and what was
// stored before, never on the order of goroutines. Answers of different servers
// never arrive at the same instant (see [Network.instant]), so that the client
// sees one event at a time in an order that the seed decides. What happens
// inside the client within one instant is up to Go's scheduler.
//
// Truth. What only an observer from outside can know (who is closest, who holds
// what, who is dead) is asked of the Network. A host, its network, connections
// and streams have no exported way back to it, so a client cannot cheat.
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

// Protocol is what every server speaks.
const Protocol protocol.ID = "/ipfs/kad/1.0.0"

// BucketSize is Kademlia's k: the entries of a bucket, the peers in an answer,
// and the copies of a record.
const BucketSize = 20

// Config says what a Network is made of.
type Config struct {
	Servers int     // dead ones included; 0 means 10,000
	Profile Profile // zero: [Ideal]
	Seed    uint64
}

// A Network is a set of modelled servers and the hosts attached to it.
// Its methods are for the harness: they tell the truth, and take no time.
type Network struct {
	profile Profile
	seed    uint64
	ahead   atomic.Int64 // time.Duration: the servers' clocks
	opener  opener
	counted counted

	mu      sync.RWMutex
	servers []*server // who is in the network now, by key
	byID    map[peer.ID]*server
	born    uint32 // servers made so far
	epoch   uint32 // counts changes of servers; routing tables of an older epoch are stale
	hosts   []*simHost
}

// New makes a network. It must be called inside the bubble in which it is used.
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

// random returns a stream of random numbers that depends on the seed, a word
// that says what for, and a number.
func (n *Network) random(purpose string, i uint64) *rand.Rand {
	h := sha256.New()
	h.Write([]byte(purpose))
	h.Write(binary.BigEndian.AppendUint64(nil, n.seed))
	h.Write(binary.BigEndian.AppendUint64(nil, i))
	sum := h.Sum(nil)
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:])))
}

// spawn makes the next server as the profile wants them.
func (n *Network) spawn() *server {
	r := n.random("server", uint64(n.born))
	return n.newServer(randomID(r), n.profile.draw(r))
}

// randomID makes the id of an Ed25519 key that nobody has.
func randomID(r *rand.Rand) peer.ID {
	id := []byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}
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

// add and changed: every change of n.servers is a run of adds or removals,
// then one call of changed. The caller holds n.mu or is alone.
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

// instant moves t by at most half a millisecond, to the nearest instant that
// belongs to the slot: each server has its own within every period, so no two
// servers ever act in the same nanosecond. The virtual clock fires timers of one
// instant in random order; without this, a constant round-trip time would make
// all answers to one batch of requests arrive in random order.
// Streams to one server are told apart by lane.
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

// attached returns the state behind a host that NewHost made.
func (n *Network) attached(h host.Host) *simHost {
	own, ok := h.(*simHost)
	if !ok || own.net != n {
		panic("simnet: this host is not of this network")
	}
	return own
}
