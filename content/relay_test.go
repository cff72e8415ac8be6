package content

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
)

// The reachability text is right about relays: one with limits, as public ones are, carries no content, one
// without limits does.
func TestContentOverRelays(t *testing.T) {
	for limited, o := range map[bool]relay.Option{false: relay.WithInfiniteLimits(), true: relay.WithLimit(relay.DefaultLimit())} {
		newHost := func(o ...libp2p.Option) host.Host {
			h, err := libp2p.New(append(o, libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { h.Close() })
			return h
		}
		middle, a, b := newHost(), newHost(libp2p.EnableRelay()), newHost(libp2p.EnableRelay())
		r, err := relay.New(middle, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		has := openStore(t, Options{DB: openDB(t, vfs.NewMem()), Host: a})
		wants := openStore(t, Options{DB: openDB(t, vfs.NewMem()), Host: b})
		root := rootOf(t, add(t, has, FromReader("f", strings.NewReader("hello")), AddOptions{CIDVersion: 1}))

		info := peer.AddrInfo{ID: middle.ID(), Addrs: middle.Addrs()}
		if err := a.Connect(t.Context(), info); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Reserve(t.Context(), a, info); err != nil {
			t.Fatal(err)
		}
		circuit := middle.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + middle.ID().String() + "/p2p-circuit"))
		ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(t.Context(), "test"), time.Minute)
		defer cancel()
		if err := b.Connect(ctx, peer.AddrInfo{ID: a.ID(), Addrs: []ma.Multiaddr{circuit}}); err != nil {
			t.Fatal(err)
		}
		for _, c := range b.Network().ConnsToPeer(a.ID()) {
			if c.Stat().Limited != limited {
				t.Errorf("limited %v: %v", limited, c.Stat())
			}
		}
		wait := time.Minute
		if limited {
			wait = time.Second
		}
		fetch, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		if _, err := wants.Cat(fetch, root.CID.String()); (err != nil) != limited {
			t.Errorf("limited %v: %v", limited, err)
		}
	}
}
