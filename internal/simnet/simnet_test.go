package simnet

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protodelim"
)

// inBubble runs f with a network and a host in a synctest bubble.
func inBubble(t *testing.T, cfg Config, f func(t *testing.T, n *Network, h host.Host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(cfg)
		defer n.Close()
		authors = 0
		f(t, n, newHost(t, n, "test"))
	})
}

func newHost(t *testing.T, n *Network, name string) host.Host {
	t.Helper()
	h, err := n.NewHost(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// some returns a server with that behaviour.
func some(t *testing.T, n *Network, b Behaviour) peer.AddrInfo {
	t.Helper()
	for _, s := range n.servers {
		if s.is(b) {
			return s.info()
		}
	}
	t.Fatalf("no %v server", b)
	return peer.AddrInfo{}
}

// talk is a stream with a frame reader.
type talk struct {
	network.Stream
	in *bufio.Reader
}

func open(t *testing.T, h host.Host, p peer.AddrInfo) *talk {
	t.Helper()
	if err := h.Connect(t.Context(), p); err != nil {
		t.Fatalf("connecting: %v", err)
	}
	s, err := h.NewStream(t.Context(), p.ID, Protocol)
	if err != nil {
		t.Fatalf("opening a stream: %v", err)
	}
	return &talk{s, bufio.NewReader(s)}
}

func (c *talk) send(t *testing.T, m *pb.Message) {
	t.Helper()
	if _, err := protodelim.MarshalTo(c, m); err != nil {
		t.Fatalf("sending: %v", err)
	}
}

func (c *talk) receive() (*pb.Message, error) {
	m := new(pb.Message)
	return m, protodelim.UnmarshalFrom(c.in, m)
}

func (c *talk) ask(t *testing.T, m *pb.Message) (*pb.Message, error) {
	t.Helper()
	c.send(t, m)
	return c.receive()
}

func find(key string) *pb.Message { return pb.NewMessage(pb.Message_FIND_NODE, []byte(key), 0) }

func get(r *ipns.Record) *pb.Message {
	return pb.NewMessage(pb.Message_GET_VALUE, r.Name().RoutingKey(), 0)
}

func put(r *ipns.Record) *pb.Message { return putRaw(r.Name().RoutingKey(), r.Raw()) }

func putRaw(key, raw []byte) *pb.Message {
	m := pb.NewMessage(pb.Message_PUT_VALUE, key, 0)
	m.Record = &recpb.Record{Key: key, Value: raw}
	return m
}

// author signs records of one name.
type author struct{ ipns.Signer }

// authors is how many there are in the bubble that is open.
var authors int

// newAuthor has the same keys in each bubble: which servers are near a name differs with it.
func newAuthor(t *testing.T) author {
	t.Helper()
	authors++
	return author{ipns.NewSigner(seeded(t, "author ", authors))}
}

func (a author) record(t *testing.T, sequence uint64, life time.Duration) *ipns.Record {
	t.Helper()
	r, err := ipns.Sign(t.Context(), a, ipns.Fields{Sequence: sequence, EOL: time.Now().Add(life)}, ipns.V2Only)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTables(t *testing.T) {
	n := New(Config{Servers: 3000, Seed: 7})
	sum := 0
	for _, s := range n.servers[:50] {
		table := s.routes()
		for i, bucket := range table {
			sum += len(bucket)
			if len(bucket) > BucketSize {
				t.Fatalf("bucket %d has %d entries", i, len(bucket))
			}
			candidates := 0
			for _, other := range n.servers {
				if other != s && keyspace.CommonBits(s.key, other.key) == i {
					candidates++
				}
			}
			if want := min(candidates, BucketSize); len(bucket) != want {
				t.Fatalf("bucket %d has %d entries of %d candidates", i, len(bucket), candidates)
			}
			for _, other := range bucket {
				if other == s || keyspace.CommonBits(s.key, other.key) != i {
					t.Fatalf("bucket %d holds a server from another bucket", i)
				}
			}
		}
	}
	if perServer := sum / 50; perServer < 120 || perServer > 200 {
		t.Errorf("%d entries a table, want about 20 for each of log2(3000/20) buckets and 20 to 40 more", perServer)
	}
}

// TestLookup does a lookup like any client, which must end at the true closest servers.
func TestLookup(t *testing.T) {
	inBubble(t, Config{Servers: 2000, Seed: 3}, func(t *testing.T, n *Network, h host.Host) {
		const key = "some key"
		known := n.Bootstrap(2)
		asked := map[peer.ID]bool{}
		for round := 0; ; round++ {
			slices.SortFunc(known, func(a, b peer.AddrInfo) int {
				return keyspace.Closer(keyspace.KeyOf([]byte(key)), keyspace.KeyOf([]byte(a.ID)), keyspace.KeyOf([]byte(b.ID)))
			})
			known = slices.CompactFunc(known, func(a, b peer.AddrInfo) bool { return a.ID == b.ID })
			i := slices.IndexFunc(known[:min(BucketSize, len(known))], func(p peer.AddrInfo) bool { return !asked[p.ID] })
			if i < 0 {
				break
			}
			asked[known[i].ID] = true
			answer, err := open(t, h, known[i]).ask(t, find(key))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range pb.PBPeersToPeerInfos(answer.GetCloserPeers()) {
				known = append(known, *p)
			}
		}
		truth := n.Closest([]byte(key), BucketSize)
		for i, p := range truth {
			if known[i].ID != p.ID {
				t.Fatalf("the lookup found %v as number %d, want %v", known[i].ID, i, p.ID)
			}
		}
		if len(asked) > 100 {
			t.Errorf("%d servers asked", len(asked))
		}
	})
}

func TestRoundTrips(t *testing.T) {
	const rtt = 100 * time.Millisecond
	near := func(t *testing.T, what string, since time.Time, want time.Duration) {
		t.Helper()
		if took := time.Since(since); math.Abs(float64(took-want)) > float64(3*time.Millisecond) {
			t.Errorf("%s took %v, want %v", what, took, want)
		}
	}
	inBubble(t, Config{Servers: 100}, func(t *testing.T, n *Network, h host.Host) {
		p, q := n.servers[1].info(), n.servers[2].info()
		start := time.Now()
		c := open(t, h, p)
		near(t, "connecting", start, 2*rtt)

		start = time.Now()
		h.Peerstore().AddAddrs(q.ID, q.Addrs, time.Hour)
		if _, err := h.Network().DialPeer(t.Context(), q.ID); err != nil {
			t.Fatal(err)
		}
		near(t, "dialling", start, rtt)

		start = time.Now()
		if _, err := c.ask(t, find("a")); err != nil {
			t.Fatal(err)
		}
		near(t, "a request", start, rtt)

		start = time.Now()
		const pipelined = 10
		for i := range pipelined {
			m := pb.NewMessage(pb.Message_GET_VALUE, fmt.Appendf(nil, "key %d", i), 0)
			c.send(t, m)
		}
		for i := range pipelined {
			answer, err := c.receive()
			if err != nil || string(answer.GetKey()) != fmt.Sprintf("key %d", i) {
				t.Fatalf("answer %d: %q, %v", i, answer.GetKey(), err)
			}
		}
		near(t, "ten requests at once", start, rtt+pipelined*processing)

		got := n.Stats(h)
		if got.Dials != 2 || got.Find != 1 || got.Get != pipelined || got.RPCs() != 1+pipelined {
			t.Errorf("stats: %+v", got)
		}
	})
}

func TestDeadServer(t *testing.T) {
	inBubble(t, Config{Servers: 200, Profile: Real15}, func(t *testing.T, n *Network, h host.Host) {
		p := some(t, n, Dead)
		start := time.Now()
		if err := h.Connect(t.Context(), p); err == nil {
			t.Fatal("connected to a dead server")
		}
		if took := time.Since(start).Round(10 * time.Millisecond); took != 5*time.Second {
			t.Errorf("the dial blocked for %v", took)
		}
		start = time.Now()
		if err := h.Connect(t.Context(), p); err == nil || time.Since(start) != 0 {
			t.Errorf("a second dial at once: %v after %v", err, time.Since(start))
		}
		time.Sleep(10 * time.Second)

		// Two callers wait for one dial, which ends when both have left.
		long, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := n.Stats(h)
		done := make(chan error)
		for _, ctx := range []context.Context{long, short} {
			go func() { done <- h.Connect(ctx, p) }()
		}
		for range 2 {
			if err := <-done; err != context.DeadlineExceeded {
				t.Errorf("a cancelled dial: %v", err)
			}
		}
		if dials := n.Stats(h).Sub(before).Dials; dials != 1 {
			t.Errorf("%d dials for two callers", dials)
		}
		if len(h.(*simHost).dials) != 0 {
			t.Error("the dial continues without a caller")
		}
	})
}

// TestTruthIsOutOfReach: the values that a client gets have only the methods of libp2p's
// interfaces.
func TestTruthIsOutOfReach(t *testing.T) {
	for own, public := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[*simHost]():     reflect.TypeFor[host.Host](),
		reflect.TypeFor[*simSwarm]():    reflect.TypeFor[network.Network](),
		reflect.TypeFor[*conn]():        reflect.TypeFor[network.Conn](),
		reflect.TypeFor[*stream]():      reflect.TypeFor[network.Stream](),
		reflect.TypeFor[*connManager](): reflect.TypeFor[connmgr.ConnManager](),
	} {
		if !own.Implements(public) {
			t.Errorf("%v is not a %v", own, public)
		}
		for i := range own.NumMethod() {
			if _, ok := public.MethodByName(own.Method(i).Name); !ok {
				t.Errorf("%v has a method %s that %v does not know", own, own.Method(i).Name, public)
			}
		}
		for i := range own.Elem().NumField() {
			if own.Elem().Field(i).IsExported() {
				t.Errorf("%v has an exported field %s", own, own.Elem().Field(i).Name)
			}
		}
	}
}

func TestEqualSeedsMakeEqualNetworks(t *testing.T) {
	a, b := New(Config{Servers: 300, Profile: Real30, Seed: 5}), New(Config{Servers: 300, Profile: Real30, Seed: 5})
	other := New(Config{Servers: 300, Profile: Real30, Seed: 6})
	for i, s := range a.servers {
		twin := b.servers[i]
		if s.id != twin.id || s.roundTrip() != twin.roundTrip() || s.behaviour.Load() != twin.behaviour.Load() || !s.addr.Equal(twin.addr) {
			t.Fatalf("server %d differs", i)
		}
		for j, bucket := range s.routes() {
			same := slices.EqualFunc(bucket, twin.routes()[j], func(x, y *server) bool { return x.id == y.id })
			if !same {
				t.Fatalf("server %d: bucket %d differs", i, j)
			}
		}
		if other.byID[s.id] != nil {
			t.Fatal("another seed made the same server")
		}
	}
}

func TestProfiles(t *testing.T) {
	n := New(Config{Profile: Real15})
	var rtts []time.Duration
	for _, s := range n.servers {
		rtts = append(rtts, s.roundTrip())
	}
	slices.Sort(rtts)
	check := func(what string, got, low, high float64) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s: %v, want %v to %v", what, got, low, high)
		}
	}
	check("median round trip", rtts[len(rtts)/2].Seconds(), 0.085, 0.100)
	check("p95 of the round trip", rtts[len(rtts)*95/100].Seconds(), 0.250, 0.800)
	check("p99 of the round trip", rtts[len(rtts)*99/100].Seconds(), 0.8, 3)
	check("share of the living", float64(n.Alive())/float64(len(n.servers)), 0.84, 0.86)
}

// TestTenThousand checks the costs that the package promises.
func TestTenThousand(t *testing.T) {
	took := time.Hour
	for range 5 { // the machine may be busy
		start := time.Now()
		New(Config{Profile: Real15})
		took = min(took, time.Since(start))
	}
	before := heap()
	n := New(Config{Profile: Real15})
	for _, s := range n.servers {
		s.routes()
	}
	used := heap() - before
	t.Logf("10,000 servers: made in %v, %d MB with all routing tables", took, used>>20)
	if took > 2*time.Second {
		t.Errorf("set-up took %v, want less than 2 s", took)
	}
	if used > 200<<20 {
		t.Errorf("%d MB, want less than 200 MB", used>>20)
	}
	runtime.KeepAlive(n)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first finds in pools and finalizers
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
