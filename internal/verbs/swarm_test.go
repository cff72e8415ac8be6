package verbs

import (
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/node"
)

// A peer to which there is only a connection over a relay that limits it is disconnected, too.
func TestDisconnectEndsALimitedConnection(t *testing.T) {
	newHost := func() host.Host {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.EnableRelay())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		return h
	}
	middle, far, h := newHost(), newHost(), newHost()
	r, err := relay.New(middle, relay.WithLimit(relay.DefaultLimit()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := client.Reserve(t.Context(), far, peer.AddrInfo{ID: middle.ID(), Addrs: middle.Addrs()}); err != nil {
		t.Fatal(err)
	}
	circuit := middle.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + middle.ID().String() + "/p2p-circuit"))
	limited := network.WithAllowLimitedConn(t.Context(), "test")
	if err := h.Connect(limited, peer.AddrInfo{ID: far.ID(), Addrs: []ma.Multiaddr{circuit}}); err != nil {
		t.Fatal(err)
	}
	if now := h.Network().Connectedness(far.ID()); now != network.Limited {
		t.Fatalf("the connection is %v", now)
	}
	v := &verbs{&node.Node{Host: h}}
	for _, want := range []string{"success", "failure: not connected"} {
		got, err := v.swarmDisconnect(t.Context(), api.SwarmConnectRequest{Addresses: []string{"/p2p/" + far.ID().String()}})
		if want = "disconnect " + far.ID().String() + " " + want; err != nil || len(got.Strings) != 1 || got.Strings[0] != want {
			t.Errorf("%q, %v, want %q", got.Strings, err, want)
		}
	}
	if n := len(h.Network().ConnsToPeer(far.ID())); n > 0 {
		t.Errorf("%d connections are left", n)
	}
}
