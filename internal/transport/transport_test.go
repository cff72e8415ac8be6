package transport

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
)

func TestStaticRelays(t *testing.T) {
	const relay = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWG4NvqQVczTrWY1H2tvsJmbQf5bbA3xGYXC4FM3wWCfE4"
	for addr, ok := range map[string]bool{relay: true, "/ip4/127.0.0.1/tcp/1": false, "nope": false} {
		c := repo.NewConfig(repo.Identity{})
		c.Swarm.RelayClient.StaticRelays = []string{addr}
		if _, err := relayOptions(&c.Swarm, nil); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		} else if err != nil && !strings.Contains(err.Error(), "Swarm.RelayClient.StaticRelays") {
			t.Error(err)
		}
	}
}

// C-32: what the profile server blocks, and what it allows.
func TestRanges(t *testing.T) {
	c := repo.NewConfig(repo.Identity{})
	if err := c.Apply("server"); err != nil {
		t.Fatal(err)
	}
	r, err := ParseRanges(c.Swarm.AddrFilters)
	if err != nil {
		t.Fatal(err)
	}
	for addr, blocked := range map[string]bool{
		"/ip4/127.0.0.1/tcp/1": true, "/ip4/10.1.2.3/udp/1/quic-v1": true, "/ip4/172.31.0.1/tcp/1": true,
		"/ip4/172.32.0.1/tcp/1": false, "/ip4/8.8.8.8/tcp/1": false, "/ip6/::1/tcp/1": true,
		"/ip6/fd00::1/tcp/1": true, "/ip6/2600::1/tcp/1": false, "/dns4/example.com/tcp/1": false,
	} {
		if got := r.InterceptAddrDial("", ma.StringCast(addr)); got == blocked {
			t.Errorf("%s: dialled %v", addr, got)
		}
	}
}

func TestAnnouncedAddresses(t *testing.T) {
	found := []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.1/tcp/4001"), ma.StringCast("/ip4/8.8.8.8/tcp/4001")}
	for _, c := range []struct {
		name string
		a    repo.Addresses
		want string
	}{
		{"as found", repo.Addresses{}, "[/ip4/10.0.0.1/tcp/4001 /ip4/8.8.8.8/tcp/4001]"},
		{"instead", repo.Addresses{Announce: []string{"/dns4/a.example/tcp/1"}}, "[/dns4/a.example/tcp/1]"},
		{"also", repo.Addresses{AppendAnnounce: []string{"/dns4/a.example/tcp/1"}}, "[/ip4/10.0.0.1/tcp/4001 /ip4/8.8.8.8/tcp/4001 /dns4/a.example/tcp/1]"},
		{"not these", repo.Addresses{NoAnnounce: []string{"/ip4/10.0.0.0/ipcidr/8"}}, "[/ip4/8.8.8.8/tcp/4001]"},
		{"not this", repo.Addresses{NoAnnounce: []string{"/ip4/8.8.8.8/tcp/4001"}}, "[/ip4/10.0.0.1/tcp/4001]"},
	} {
		n, err := newAnnouncer(c.a)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := n.addrs(found)
		text := "["
		for i, m := range got {
			if i > 0 {
				text += " "
			}
			text += m.String()
		}
		if text += "]"; text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
	}
}

// With TLS first, a node whose clock is an hour behind could reach no one.
func TestConnectionsOverTCPDoNotDependOnTheClock(t *testing.T) {
	var hosts [2]*Host
	none := filepath.Join(t.TempDir(), "none")
	for i := range hosts {
		key, err := ipns.GenerateKey(ipns.Ed25519, 0)
		if err != nil {
			t.Fatal(err)
		}
		c := repo.NewConfig(repo.Identity{})
		c.Addresses.Swarm = []string{"/ip4/127.0.0.1/tcp/0"}
		c.Swarm.DisableNatPortMap = true
		nobody := func(context.Context, int) <-chan peer.AddrInfo { return nil }
		if hosts[i], err = Open(&c, Options{Key: key, Agent: "test", SwarmKey: none, Overrides: none, Relays: nobody}); err != nil {
			t.Fatal(err)
		}
		defer hosts[i].Close()
	}
	if err := hosts[0].Connect(t.Context(), peer.AddrInfo{ID: hosts[1].ID(), Addrs: hosts[1].Addrs()}); err != nil {
		t.Fatal(err)
	}
	if got := hosts[0].Network().ConnsToPeer(hosts[1].ID())[0].ConnState().Security; got != noise.ID {
		t.Errorf("connected with %s", got)
	}
}
