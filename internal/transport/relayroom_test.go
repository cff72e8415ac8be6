package transport

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns/internal/repo"
)

// All connections over a relay count for its address. With libp2p's limit for an address, the
// eighth peer that wants to fetch over one's own relay would be refused.
func TestARelayOfTheConfigBringsManyPeers(t *testing.T) {
	const id = "12D3KooWG4NvqQVczTrWY1H2tvsJmbQf5bbA3xGYXC4FM3wWCfE4"
	relays, err := parsePeers([]string{"/ip4/80.1.0.1/udp/4001/quic-v1/p2p/" + id, "/ip4/80.1.0.1/tcp/4001/p2p/" + id, "/ip6/2a02::1/tcp/4001/p2p/" + id, "/dns4/relay.example/tcp/4001/p2p/" + id})
	if err != nil {
		t.Fatal(err)
	}
	limits, err := newLimits(&repo.ResourceMgr{}, "", 96, relays)
	if err != nil {
		t.Fatal(err)
	}
	defer limits.Close()
	opened := func(ip string) (n int) {
		for ; n < 70; n++ {
			c, err := limits.OpenConnection(network.DirInbound, false, ma.StringCast(fmt.Sprintf("%s/udp/4001/quic-v1/p2p/%s/p2p-circuit", ip, id)))
			if err != nil {
				break
			}
			defer c.Done()
		}
		return n
	}
	for _, ip := range []string{"/ip4/80.1.0.1", "/ip6/2a02::1"} {
		if n := opened(ip); n != 70 {
			t.Errorf("%d connections over the relay at %s, want 70", n, ip)
		}
	}
	if n := opened("/ip4/80.2.0.1"); n > 8 {
		t.Errorf("%d connections from another address", n)
	}
}
