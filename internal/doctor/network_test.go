package doctor

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/transport"
)

func TestTheStepThatFailsIsNamed(t *testing.T) {
	well := Operator{Name: "good.example", TCP: Tried{2, 2}, UDP: Tried{2, 2}, Servers: 2}
	noDNS := Operator{Name: "libp2p.io", NoDNS: "no such host"}
	dead := Operator{Name: "80.1.0.1", TCP: Tried{1, 0}, UDP: Tried{1, 0}, Err: "connection refused"}
	noUDP := Operator{Name: "good.example", TCP: Tried{2, 2}, UDP: Tried{2, 0}, Servers: 2, Err: "no answer"}
	noDHT := Operator{Name: "good.example", TCP: Tried{2, 2}}
	for _, tt := range []struct {
		what  string
		n     *Network
		wrong []string // the subjects
		note  string   // of the one finding that is a note
		found string
	}{
		{"nobody looked", nil, nil, "", ""},
		{"all is well", &Network{Operators: []Operator{well}, Relays: []Relay{{ID: "r"}}}, nil, "", ""},
		{"no bootstrap peers", &Network{}, nil, "", ""},
		{"no link", &Network{NoLink: "no address"}, []string{"step 1, link"}, "", "no address"},
		{"no DNS", &Network{Operators: []Operator{noDNS}}, []string{"step 2, DNS"}, "", "libp2p.io: no such host"},
		{"all operators are dead", &Network{Operators: []Operator{dead, noDNS}}, []string{"step 3, bootstrap"}, "", "80.1.0.1: connection refused; libp2p.io: no such host"},
		{"one of two is dead", &Network{Operators: []Operator{dead, well}}, nil, "step 3, bootstrap", "80.1.0.1: connection refused"},
		{"UDP is dropped", &Network{Operators: []Operator{noUDP}}, []string{"step 4, UDP"}, "", "none of 2 bootstrap peers answers by UDP, and 2 do by TCP"},
		{"no DHT", &Network{Operators: []Operator{noDHT}}, []string{"step 5, DHT"}, "", "serves the DHT"},
		{"the relay is not there", &Network{Operators: []Operator{well}, Relays: []Relay{{"r", "it is no relay"}}}, []string{"step 7, relay r"}, "", "it is no relay"},
	} {
		var wrong []string
		note := ""
		all := steps(Facts{Network: tt.n})
		for _, f := range all {
			if f.Means == "" || f.Mend == "" || !strings.Contains(f.Found, tt.found) {
				t.Errorf("%s: %+v", tt.what, f)
			}
			if f.Note {
				note = f.Subject
			} else {
				wrong = append(wrong, f.Subject)
			}
		}
		if !slices.Equal(wrong, tt.wrong) || note != tt.note {
			t.Errorf("%s: wrong %q, note %q", tt.what, wrong, note)
		}
	}
}

// server is a host that seems to serve some protocols.
func server(t *testing.T, listen string, protocols ...protocol.ID) (h host.Host, addr string) {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings(listen))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	for _, p := range protocols {
		h.SetStreamHandler(p, func(s network.Stream) { s.Close() })
	}
	return h, fmt.Sprintf("%s/p2p/%s", h.Addrs()[0], h.ID())
}

func TestAProbeTellsOperatorsAndWaysApart(t *testing.T) {
	const tcp, quic = "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"
	_, good := server(t, tcp, dhtLAN)
	_, overUDP := server(t, quic, dhtLAN)
	plain, addr := server(t, tcp)
	relay, relayAddr := server(t, tcp, relayHop)
	gone, dead := server(t, "/ip4/127.0.0.2/tcp/0")
	gone.Close()

	c := repo.NewConfig(repo.Identity{})
	// A relay has several addresses, of which one is enough.
	nowhere := fmt.Sprintf("/ip4/127.0.0.2/tcp/1/p2p/%s", relay.ID())
	c.Swarm.RelayClient.StaticRelays = []string{nowhere, relayAddr, addr, "/ip4/127.0.0.1/tcp/1", dead}
	none := filepath.Join(t.TempDir(), "none")
	n, err := Probe(t.Context(), Route{
		Config: c, SwarmKey: none, Overrides: none, Bootstrap: []string{good, overUDP, dead},
		Addrs: []string{"/ip4/192.168.1.2/tcp/4001"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Operators) != 2 || n.NoLink != "" {
		t.Fatalf("%+v", n)
	}
	if o := n.Operators[0]; o.Name != "127.0.0.1" || o.TCP != (Tried{1, 1}) || o.UDP != (Tried{1, 1}) || o.Servers != 2 {
		t.Errorf("one that works: %+v", o)
	}
	if o := n.Operators[1]; o.Name != "127.0.0.2" || o.TCP != (Tried{1, 0}) || o.UDP != (Tried{}) || !strings.Contains(o.Err, "refused") || strings.Contains(o.Err, "\n") {
		t.Errorf("one that is gone: %+v", o)
	}
	if len(n.Relays) != 4 {
		t.Fatalf("relays: %+v", n.Relays)
	}
	for i, want := range []struct{ id, err string }{
		{relay.ID().String(), "no place there"},
		{plain.ID().String(), "it is no relay"},
		{gone.ID().String(), "is not reached"},
		{"/ip4/127.0.0.1/tcp/1", "does not end with /p2p/"},
	} {
		if r := n.Relays[i]; r.ID != want.id || !strings.Contains(r.Err, want.err) {
			t.Errorf("relay: %+v, want %q", r, want.err)
		}
	}
	// With a place there, and for a node that needs none, the relay is well.
	for what, r := range map[string]Route{
		"a place": {Addrs: []string{relayAddr + "/p2p-circuit/p2p/12D3"}}, "public": {Addrs: []string{"/ip4/8.8.8.8/tcp/1"}, Public: true}, "no daemon": {},
	} {
		r.Config, r.SwarmKey, r.Overrides = c, none, none
		r.Config.Swarm.RelayClient.StaticRelays = []string{relayAddr}
		if n, err := Probe(t.Context(), r); err != nil || n.Relays[0].Err != "" {
			t.Errorf("%s: %+v, %v", what, n, err)
		}
	}
}

// names are those of a DNS; it does not know others.
type names map[string][]string

func (n names) LookupIPAddr(_ context.Context, name string) (ips []net.IPAddr, err error) {
	for _, text := range n[name] {
		ips = append(ips, net.IPAddr{IP: net.ParseIP(text)})
	}
	return ips, n.missing(name)
}

func (n names) LookupTXT(_ context.Context, name string) ([]string, error) {
	return n[strings.TrimSuffix(name, ".")], n.missing(strings.TrimSuffix(name, "."))
}

func (n names) missing(name string) error {
	if n[name] == nil {
		return fmt.Errorf("lookup %s: no such host", name)
	}
	return nil
}

func TestAPeerIsFoundAlsoIfOneOfItsNamesIsNot(t *testing.T) {
	const id, other = "/p2p/12D3KooWG4NvqQVczTrWY1H2tvsJmbQf5bbA3xGYXC4FM3wWCfE4", "/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS"
	dns, err := madns.NewResolver(madns.WithDefaultResolver(names{
		"_dnsaddr.some.example": {
			"dnsaddr=/dns4/gone.example/tcp/1" + id, "dnsaddr=/dns4/there.example/tcp/1" + id, "dnsaddr=/dnsaddr/none.example" + id,
			"dnsaddr=/dns4/there.example/tcp/2" + other,
		},
		"_dnsaddr.none.example": {"dnsaddr=/dns4/gone.example/tcp/1" + id, "dnsaddr=/dns4/gone.example/tcp/2" + id},
		"there.example":         {"80.1.0.1"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	p := &probe{tcp: &transport.Host{DNS: dns}}
	got, err := p.resolve(t.Context(), ma.StringCast("/dnsaddr/some.example"+id), resolveDepth)
	if want := "/ip4/80.1.0.1/tcp/1" + id; err != nil || len(got) != 1 || got[0].String() != want {
		t.Errorf("%v, %v, want %s", got, err, want)
	}
	if got, err := p.resolve(t.Context(), ma.StringCast("/dnsaddr/none.example"+id), resolveDepth); err == nil || !strings.Contains(err.Error(), "gone.example") {
		t.Errorf("of names that lead nowhere: %v, %v", got, err)
	}
}

func TestOperators(t *testing.T) {
	const id = "/p2p/12D3KooWG4NvqQVczTrWY1H2tvsJmbQf5bbA3xGYXC4FM3wWCfE4"
	for addr, want := range map[string]string{
		"/dnsaddr/bootstrap.libp2p.io" + id: "libp2p.io", "/dns4/a.b.example/tcp/443/tls/ws" + id: "b.example",
		"/ip4/80.1.0.1/udp/4001/quic-v1" + id: "80.1.0.1", "/ip6/2a00::1/tcp/1" + id: "2a00::1", "/dns4/localhost/tcp/1": "localhost",
	} {
		if got := operatorOf(ma.StringCast(addr)); got != want {
			t.Errorf("%s: %q", addr, got)
		}
	}
}
