package reach

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/ownrelay"
	"github.com/goipns/ipns/internal/repo"
)

const id = "12D3KooWG4NvqQVczTrWY1H2tvsJmbQf5bbA3xGYXC4FM3wWCfE4"

var (
	local   = ma.StringCast("/ip4/192.168.1.2/udp/4001/quic-v1")
	public  = ma.StringCast("/ip4/8.8.8.8/udp/4001/quic-v1")
	public6 = ma.StringCast("/ip6/2a00::1/udp/4001/quic-v1")
	circuit = ma.StringCast("/ip4/8.8.4.4/udp/4001/quic-v1/p2p/" + id + "/p2p-circuit")
)

func list(a ...ma.Multiaddr) []ma.Multiaddr { return a }

// Bitswap sends nothing over a relay with limits, so of two nodes one behind a symmetric NAT
// and the other behind any that filters, neither can fetch from the other.
func TestTheWordsPromiseNoMoreThanIsSo(t *testing.T) {
	private, unknown := network.ReachabilityPrivate, network.ReachabilityUnknown
	ways := []string{"forward the port", "IPv6", "ipns relay", "StaticRelays", "pin the content"}
	symmetric := "nobody behind a router or firewall of its own can"
	for _, tt := range []struct {
		what  string
		facts Facts
		fetch Fetch
		want  []string
	}{
		{"public", Facts{State: network.ReachabilityPublic, Addrs: list(public)}, Anyone, []string{"public: others can connect"}},
		{"public, only IPv6 is announced", Facts{State: network.ReachabilityPublic, Addrs: list(ma.StringCast("/ip6/2a02::1/udp/4001/quic-v1"))}, OverIPv6, []string{"public over IPv6 alone"}},
		{"a forwarded port", Facts{State: private, Reachable: list(public, ma.StringCast("/ip4/8.8.8.8/tcp/4001"))}, Anyone, []string{"public: others can connect"}},
		{"a full cone, which opens UDP alone", Facts{State: private, Reachable: list(public)}, Anyone, []string{"public: others can connect", "no UDP out perhaps not"}},
		{"only a local address is reachable", Facts{State: private, Reachable: list(local)}, Nobody, ways},
		{
			"IPv6 alone",
			Facts{State: private, Reachable: list(public6), UDP: Each, Addrs: list(circuit)},
			OverIPv6,
			append([]string{"over IPv6 alone", symmetric}, ways...),
		},
		{"IPv6 and an own relay", Facts{State: private, Reachable: list(public6), OwnRelay: true, Addrs: list(circuit)}, OverOwn, []string{"others can fetch"}},
		{"port-restricted", Facts{State: private, UDP: Same, Addrs: list(local, circuit)}, Punched, append([]string{"but for those behind", "symmetric"}, ways...)},
		{"port-restricted by single addresses", Facts{Unreachable: list(public), UDP: Same, Addrs: list(circuit)}, Punched, append([]string{"symmetric"}, ways...)},
		{"symmetric", Facts{State: private, UDP: Each, Addrs: list(local, circuit)}, Public, append([]string{symmetric, "symmetric NAT"}, ways...)},
		{"no UDP", Facts{State: private, UDP: Blocked, Addrs: list(circuit)}, Public, append([]string{"UDP does not get out"}, ways...)},
		{"the router is not known", Facts{State: private, Addrs: list(circuit)}, Public, append([]string{"not known yet"}, ways...)},
		{"no punching", Facts{State: private, UDP: Same, NoPunching: true, Addrs: list(circuit)}, Nobody, append([]string{"EnableHolePunching"}, ways...)},
		{"no relay", Facts{State: private, UDP: Same, Addrs: list(local)}, Nobody, append([]string{"no relay knows"}, ways...)},
		{"an own relay", Facts{State: private, UDP: Each, OwnRelay: true, Configured: true, Addrs: list(circuit)}, OverOwn, []string{"your own relay: others can fetch"}},
		{"an own relay, others have not tried", Facts{OwnRelay: true, Configured: true, Addrs: list(circuit)}, OverOwn, []string{"your own relay: others can fetch"}},
		{
			"an own relay with limits",
			Facts{State: private, UDP: Each, OwnRelay: true, Limited: true, Addrs: list(circuit)},
			Public,
			append([]string{"limits connections", symmetric}, ways...),
		},
		{"an own relay that is away", Facts{State: private, UDP: Same, Configured: true, Addrs: list(local)}, Nobody, append([]string{"is not reached"}, ways...)},
		{"a public address", Facts{State: unknown, Addrs: list(local, public)}, NotYet, []string{"not known yet", "public address"}},
		{"known to relays", Facts{State: unknown, Addrs: list(local, circuit)}, NotYet, []string{"not known yet", "relays know"}},
		{"nothing", Facts{State: unknown, Addrs: list(local)}, NotYet, []string{"not known yet", "only local"}},
	} {
		v := Judge(tt.facts)
		if v.Fetch != tt.fetch {
			t.Errorf("%s: %q can fetch, want %q", tt.what, v.Fetch, tt.fetch)
		}
		for _, w := range tt.want {
			if !strings.Contains(v.Words, w) {
				t.Errorf("%s: %q does not say %q", tt.what, v.Words, w)
			}
		}
		if tt.what == "a forwarded port" && strings.Contains(v.Words, "UDP") {
			t.Errorf("%s: %q", tt.what, v.Words)
		}
		if v.Known() == (tt.fetch == NotYet) {
			t.Errorf("%s: known %v", tt.what, v.Known())
		}
	}
}

func TestTheKindOfARouterIsWhatMostSee(t *testing.T) {
	at := netip.MustParseAddrPort
	by := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{80, n, 0, 1}) }
	var s seen
	for n := range byte(enoughSeen) {
		if s.kind() != Unknown {
			t.Errorf("%d have said: %q", n, s.kind())
		}
		s = s.add(sighting{by(n), at("192.168.1.2:4001"), at("9.9.9.9:4001")})
	}
	if s.kind() != Same {
		t.Errorf("one port: %q", s.kind())
	}
	// The same again says nothing new.
	if s = s.add(sighting{by(0), at("192.168.1.2:4001"), at("9.9.9.9:4001")}); len(s) != enoughSeen {
		t.Errorf("%d sightings", len(s))
	}
	// The line is renumbered: those who see it newly count.
	for n := range byte(mostSeen) {
		s = s.add(sighting{by(n), at("192.168.1.2:4001"), at("7.7.7.7:4001")})
	}
	if s.kind() != Same || len(s) != mostSeen {
		t.Errorf("another address: %q of %d", s.kind(), len(s))
	}
	for n := range uint16(mostSeen) {
		s = s.add(sighting{by(byte(n)), at("192.168.1.2:4001"), netip.AddrPortFrom(netip.MustParseAddr("9.9.9.9"), 1024+n)})
	}
	if s.kind() != Each {
		t.Errorf("a port for each: %q", s.kind())
	}
}

// One that keeps a port for all destinations does so for each address of the machine.
func TestAnotherAddressOfTheMachineIsNoOtherKindOfRouter(t *testing.T) {
	at := netip.MustParseAddrPort
	var s seen
	for n := range byte(mostSeen) {
		one := sighting{netip.AddrFrom4([4]byte{80, n, 0, 1}), at("192.168.1.2:4001"), at("9.9.9.9:4001")}
		if n%2 == 1 {
			one.inside, one.outside = at("192.168.1.3:4001"), at("9.9.9.9:1024")
		}
		if s = s.add(one); s.kind() == Each {
			t.Fatalf("symmetric, after %d have said one port for each address", n+1)
		}
	}
	if s.kind() != Same {
		t.Errorf("%q", s.kind())
	}
	// One connection from elsewhere says nothing yet.
	s = s.add(sighting{netip.AddrFrom4([4]byte{80, 99, 0, 1}), at("10.0.0.2:4001"), at("7.7.7.7:4001")})
	if s.kind() != Same {
		t.Errorf("after one from elsewhere: %q", s.kind())
	}
}

// A node without QUIC, as on a private network, has no connections over UDP, whatever gets out.
func TestOnlyANodeWithQUICFindsThatUDPIsBlocked(t *testing.T) {
	for listen, want := range map[string]NAT{
		"/ip4/127.0.0.1/tcp/0": Unknown, "/ip4/127.0.0.1/udp/0/webrtc-direct": Unknown, "/ip4/127.0.0.1/udp/0/quic-v1": Blocked,
	} {
		h, err := libp2p.New(libp2p.ListenAddrStrings(listen))
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		w, err := Watch(h, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		w.mu.Lock()
		w.began = w.began.Add(-udpAfter)
		for n := range byte(enoughSeen) {
			at := netip.MustParseAddrPort("9.9.9.9:4001")
			w.seen[way{}] = w.seen[way{}].add(sighting{netip.AddrFrom4([4]byte{80, n, 0, 1}), at, at})
		}
		w.mu.Unlock()
		if v := w.Verdict(); v.UDP != want || v.TCP != Same {
			t.Errorf("%s: UDP is %q, want %q, and TCP %q", listen, v.UDP, want, v.TCP)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]struct {
		at string
		by way
	}{
		"/ip4/8.8.8.8/udp/4001/quic-v1": {"8.8.8.8:4001", way{udp: true}},
		"/ip4/8.8.8.8/tcp/4001":         {"8.8.8.8:4001", way{}},
		"/ip6/2a00::1/udp/1/quic-v1":    {"[2a00::1]:1", way{true, true}},
		circuit.String():                {},
		"/dns4/a.example/tcp/1":         {},
	} {
		at, by, ok := endpoint(ma.StringCast(text))
		if ok != (want.at != "") || ok && (at.String() != want.at || by != want.by) {
			t.Errorf("%s: %v %+v %v", text, at, by, ok)
		}
	}
}

// announced is a host that says it has other addresses.
type announced struct {
	host.Host
	addrs []ma.Multiaddr
}

func (a announced) Addrs() []ma.Multiaddr { return a.addrs }

func TestARelayOfTheConfigIsAskedForItsLimits(t *testing.T) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableIdentifyAddressDiscovery())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, none := repo.NewConfig(repo.Identity{}), filepath.Join(t.TempDir(), "none")
	c.Addresses.Swarm, c.Swarm.DisableNatPortMap = []string{"/ip4/127.0.0.1/tcp/0"}, true
	r, err := ownrelay.Open(c, ownrelay.Options{Key: key, SwarmKey: none, Overrides: none, Nodes: []peer.ID{h.ID()}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	addrs, _ := r.Addrs()
	at, err := peer.AddrInfoFromString(addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Connect(t.Context(), *at); err != nil {
		t.Fatal(err)
	}
	over := announced{h, list(ma.StringCast(addrs[0] + "/p2p-circuit"))}
	w, err := Watch(over, Options{Relays: []peer.AddrInfo{*at}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.look()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for w.Verdict().Fetch != OverOwn {
		select {
		case <-ctx.Done():
			t.Fatalf("the relay has no limits, but %q can fetch", w.Verdict().Fetch)
		case <-time.After(10 * time.Millisecond):
		}
	}
	select {
	case <-w.Changed():
	case <-ctx.Done():
		t.Error("nobody is told of the change")
	}
}
