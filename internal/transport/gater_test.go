package transport

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
)

// Before the first of a peer's addresses is dialled, the host knows all of the relay that it is behind.
func TestARelayIsDialledAtAllItsAddresses(t *testing.T) {
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, none := repo.NewConfig(repo.Identity{}), filepath.Join(t.TempDir(), "none")
	c.Addresses.Swarm, c.Swarm.DisableNatPortMap = []string{"/ip4/127.0.0.1/tcp/0"}, true
	c.Swarm.AddrFilters = []string{"/ip4/10.0.0.0/ipcidr/8"}
	h, err := Open(&c, Options{Key: key, SwarmKey: none, Overrides: none, Relays: func(context.Context, int) <-chan peer.AddrInfo { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	relay, err := peer.Decode("12D3KooWG4NvqQVczTrWY1H2tvsJmbQf5bbA3xGYXC4FM3wWCfE4")
	if err != nil {
		t.Fatal(err)
	}
	behind, err := peer.Decode("12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS")
	if err != nil {
		t.Fatal(err)
	}
	want := []ma.Multiaddr{ma.StringCast("/ip4/8.8.8.8/udp/4001/quic-v1"), ma.StringCast("/ip4/8.8.8.8/tcp/4001")}
	for _, a := range append(want, ma.StringCast("/ip4/10.1.2.3/tcp/4001")) {
		h.Network().CanDial(behind, ma.StringCast(a.String()+"/p2p/"+relay.String()+"/p2p-circuit"))
	}
	h.Network().CanDial(behind, ma.StringCast("/ip4/9.9.9.9/tcp/4001"))
	got := h.Peerstore().Addrs(relay)
	if len(got) != len(want) || !ma.Contains(got, want[0]) || !ma.Contains(got, want[1]) {
		t.Errorf("the relay is dialled at %v, want %v", got, want)
	}
}
