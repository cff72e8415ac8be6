package ownrelay

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	pb "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/util"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/transport"
)

const fetch = "/test/fetch/1"

func loopback() repo.Config {
	c := repo.NewConfig(repo.Identity{})
	c.Addresses.Swarm = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	c.Swarm.DisableNatPortMap = true
	c.Swarm.EnableHolePunching = new(false)
	return c
}

func open(t *testing.T, change func(*repo.Config)) host.Host {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, none := loopback(), filepath.Join(t.TempDir(), "none")
	change(&c)
	nobody := func(context.Context, int) <-chan peer.AddrInfo { return nil }
	h, err := transport.Open(&c, transport.Options{Key: key, Agent: "test", SwarmKey: none, Overrides: none, Relays: nobody})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func options(t *testing.T, nodes ...peer.ID) Options {
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	return Options{Key: key, Agent: "test", SwarmKey: none, Overrides: none, Nodes: nodes, Log: slog.New(slog.DiscardHandler)}
}

// with a relay of one's own, content goes to others whatever routers are between.
func TestOthersFetchOverTheRelayAndItsConnectionIsNotLimited(t *testing.T) {
	var static []string
	home := open(t, func(*repo.Config) {})
	o := options(t, home.ID())
	r, err := Open(loopback(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if static, _ = r.Addrs(); len(static) != 2 {
		t.Fatalf("addresses of the relay: %v", static)
	}
	at, err := peer.AddrInfoFromString(static[0])
	if err != nil {
		t.Fatal(err)
	}
	place, err := client.Reserve(t.Context(), home, *at)
	if err != nil {
		t.Fatal(err)
	}
	if place.LimitData != 0 || place.LimitDuration != 0 {
		t.Errorf("the relay tells of limits: %+v", place)
	}
	content := make([]byte, 1<<20) // more than a limited connection carries
	_, _ = rand.Read(content)
	home.SetStreamHandler(fetch, func(s network.Stream) {
		_, _ = s.Write(content)
		s.Close()
	})
	stranger := open(t, func(*repo.Config) {})
	over := peer.AddrInfo{ID: home.ID(), Addrs: []ma.Multiaddr{ma.StringCast(static[0] + "/p2p-circuit")}}
	if err := stranger.Connect(t.Context(), over); err != nil {
		t.Fatal(err)
	}
	s, err := stranger.NewStream(t.Context(), home.ID(), fetch) // refused on a limited connection
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, content) {
		t.Errorf("fetched %d of %d bytes: %v", len(got), len(content), err)
	}
	if c := s.Conn(); c.Stat().Limited || !strings.Contains(c.RemoteMultiaddr().String(), "p2p-circuit") {
		t.Errorf("connection %s: %+v", c.RemoteMultiaddr(), c.Stat())
	}
	// A stranger gets no place of its own, and reaches no one who has none.
	if _, err := client.Reserve(t.Context(), stranger, *at); err == nil || !strings.Contains(err.Error(), "PERMISSION_DENIED") {
		t.Errorf("a stranger has a place: %v", err)
	}
	third := open(t, func(*repo.Config) {})
	over.ID = stranger.ID()
	if err := third.Connect(t.Context(), over); err == nil || !strings.Contains(err.Error(), "PERMISSION_DENIED") {
		t.Errorf("a stranger was reached: %v", err)
	}
}

// The config of a node is all that it needs.
func TestANodeWithTheRelayInItsConfigTakesItsPlace(t *testing.T) {
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(loopback(), options(t, id))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, none := loopback(), filepath.Join(t.TempDir(), "none")
	c.Swarm.RelayClient.StaticRelays, _ = r.Addrs()
	c.Internal.Libp2pForceReachability = "private"
	h, err := transport.Open(&c, transport.Options{Key: key, Agent: "test", SwarmKey: none, Overrides: none})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	stranger := open(t, func(*repo.Config) {})
	over := peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{ma.StringCast(c.Swarm.RelayClient.StaticRelays[0] + "/p2p-circuit")}}
	for stranger.Connect(t.Context(), over) != nil {
		select {
		case <-t.Context().Done():
			t.Fatal("the node is not reached over the relay of its config")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// takesAll makes a node take every connection over the relay and do nothing on it.
func takesAll(home host.Host) {
	home.SetStreamHandler(proto.ProtoIDv2Stop, func(s network.Stream) {
		_ = util.NewDelimitedReader(s, maxAsked).ReadMsg(new(pb.StopMessage))
		_ = util.NewDelimitedWriter(s).WriteMsg(&pb.StopMessage{Type: pb.StopMessage_STATUS.Enum(), Status: pb.Status_OK.Enum()})
		_, _ = io.Copy(io.Discard, s)
		s.Close()
	})
}

// ask asks a relay for one more connection to a node.
func ask(t *testing.T, from host.Host, relay, to peer.ID) (network.Stream, pb.Status) {
	t.Helper()
	s, err := from.NewStream(t.Context(), relay, proto.ProtoIDv2Hop)
	if err != nil {
		t.Fatal(err)
	}
	var said pb.HopMessage
	err = util.NewDelimitedWriter(s).WriteMsg(&pb.HopMessage{
		Type: pb.HopMessage_CONNECT.Enum(), Peer: util.PeerInfoToPeerV2(peer.AddrInfo{ID: to}),
	})
	if err == nil {
		err = util.NewDelimitedReader(s, maxAsked).ReadMsg(&said)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, said.GetStatus()
}

// reserve opens a relay for a node and others, and takes the place of the node there.
func reserve(t *testing.T, home host.Host, others ...peer.ID) peer.AddrInfo {
	t.Helper()
	r, err := Open(loopback(), options(t, append(others, home.ID())...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	addrs, _ := r.Addrs()
	at, err := peer.AddrInfoFromString(addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Reserve(t.Context(), home, *at); err != nil {
		t.Fatal(err)
	}
	return *at
}

// A stranger that keeps what it gets leaves the rest of a node's connections to others, also if it
// has many peer ids. What it had is free again once it goes.
func TestAStrangerLeavesRoomForOthers(t *testing.T) {
	home := open(t, func(*repo.Config) {})
	takesAll(home)
	at := reserve(t, home)
	stranger := func() host.Host {
		h := open(t, func(*repo.Config) {})
		if err := h.Connect(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		return h
	}
	var held []network.Stream
	var h host.Host
	for len(held) < perNet {
		got := 0
		h = stranger()
		for ; ; got++ {
			s, status := ask(t, h, at.ID, home.ID())
			if status == pb.Status_RESOURCE_LIMIT_EXCEEDED {
				break
			}
			if status != pb.Status_OK || got > perPeer {
				t.Fatalf("connection %d of one peer: %v", got+1, status)
			}
			held = append(held, s)
		}
		if got != perPeer {
			t.Fatalf("one peer has %d connections, want %d", got, perPeer)
		}
	}
	if _, status := ask(t, stranger(), at.ID, home.ID()); status != pb.Status_RESOURCE_LIMIT_EXCEEDED {
		t.Fatalf("one more of the same address: %v", status)
	}
	for _, s := range held {
		s.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for {
		s, status := ask(t, h, at.ID, home.ID())
		if s.Close(); status == pb.Status_OK {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal("connections that have ended still count")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestTheNetOfAStranger(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/8.8.8.8/tcp/1": "8.8.8.8/32", "/ip4/8.8.8.8/udp/4001/quic-v1": "8.8.8.8/32", "/ip6/::ffff:8.8.8.8/tcp/1": "8.8.8.8/32",
		"/ip6/2a00:1:2:3::4/udp/4001/quic-v1": "2a00:1:2::/48", "/dns4/a.example/tcp/1": "invalid Prefix",
	} {
		if got := netOf(ma.StringCast(addr)).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

// A node that many are connected with keeps its place: it asks for it again all the time.
func TestANodeThatManyAreConnectedWithKeepsItsPlace(t *testing.T) {
	home, other := open(t, func(*repo.Config) {}), open(t, func(*repo.Config) {})
	takesAll(home)
	at := reserve(t, home, other.ID())
	if err := other.Connect(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	for i := range maxCircuits {
		if _, status := ask(t, other, at.ID, home.ID()); status != pb.Status_OK {
			t.Fatalf("connection %d of %d: %v", i+1, maxCircuits, status)
		}
	}
	if _, err := client.Reserve(t.Context(), home, at); err != nil {
		t.Errorf("with %d connections: %v", maxCircuits, err)
	}
}

func TestARelayNeedsNodesAndAPlace(t *testing.T) {
	node := peer.ID("node")
	for what, change := range map[string]func(*repo.Config, *Options){
		"nobody":        func(_ *repo.Config, o *Options) { o.Nodes = nil },
		"can be for 64": func(_ *repo.Config, o *Options) { o.Nodes = make([]peer.ID, MaxNodes+1) },
		"too low":       func(_ *repo.Config, o *Options) { o.Rate = 1 },
		"is empty":      func(c *repo.Config, _ *Options) { c.Addresses.Swarm = nil },
		"relay itself":  func(_ *repo.Config, o *Options) { o.Nodes = []peer.ID{idOf(o.Key)} },
	} {
		c, o := loopback(), options(t, node)
		change(&c, &o)
		if r, err := Open(c, o); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
			if err == nil {
				r.Close()
			}
		}
	}
}

type endless struct {
	network.Stream
	deadline time.Time
}

func (e *endless) Read(b []byte) (int, error) { return len(b), nil }
func (e *endless) SetDeadline(t time.Time) error {
	e.deadline = t
	return nil
}

func TestStreamsShareTheRateAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, end := context.WithCancel(t.Context())
		p := &paced{life: life, rate: rate.NewLimiter(minRate, bufferSize)}
		start, b, bare := time.Now(), make([]byte, 4*bufferSize), &endless{}
		streams := []network.Stream{p.wrap(bare, func() {}), p.wrap(&endless{}, func() {})}
		total := 0
		for total < 64*bufferSize {
			n, err := streams[total/bufferSize%2].Read(b)
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		if got, want := time.Since(start).Seconds(), float64(total-bufferSize)/minRate; got < want-0.01 || got > want+0.01 {
			t.Errorf("%d bytes took %v s, want %v", total, got, want)
		}
		if err := streams[0].SetDeadline(time.Time{}); err != nil || !bare.deadline.Equal(start.Add(circuitLife)) {
			t.Errorf("a connection without a deadline ends at %v: %v", bare.deadline, err)
		}
		end()
		if _, err := streams[0].Read(b); err == nil {
			t.Error("a read goes on after the end of the relay")
		}
	})
}
