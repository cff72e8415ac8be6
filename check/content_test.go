package check

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/routing/delegated"
)

// far is another address of a host, at which it answers later than over a relay.
func far(t *testing.T, near ma.Multiaddr) ma.Multiaddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	to, err := manet.ToNetAddr(near)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			time.Sleep(2 * time.Second) // a relay is tried half a second later
			if s, err := net.Dial("tcp", to.String()); err == nil {
				go func() { defer s.Close(); io.Copy(s, c) }()
				go func() { defer c.Close(); io.Copy(c, s) }()
			}
		}
	}()
	at, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Content is found through routers, and fetched from whom they name.
func TestContentIsFoundAndFetched(t *testing.T) {
	block := blocks.NewBlock([]byte("a root"))
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	store := blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore()))
	if err := store.Put(t.Context(), block); err != nil {
		t.Fatal(err)
	}
	exchange := bitswap.New(t.Context(), bsnet.NewFromIpfsHost(h), nil, store)
	defer exchange.Close()

	has := peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
	gone := peer.AddrInfo{ID: otherID(t), Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1")}}
	router := func(names ...peer.AddrInfo) string {
		s := httptest.NewServer(&delegated.Handler{Providers: func(context.Context, cid.Cid) iter.Seq2[peer.AddrInfo, error] {
			return func(yield func(peer.AddrInfo, error) bool) {
				for _, p := range names {
					if !yield(p, nil) {
						return
					}
				}
			}
		}})
		t.Cleanup(s.Close)
		return s.URL
	}
	// One that is reached only over a relay: its owner's, or one that limits connections.
	over := func(limits relay.Option) peer.AddrInfo {
		r, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		service, err := relay.New(r, limits)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { service.Close() })
		if _, err := client.Reserve(t.Context(), h, peer.AddrInfo{ID: r.ID(), Addrs: r.Addrs()}); err != nil {
			t.Fatal(err)
		}
		return peer.AddrInfo{ID: h.ID(), Addrs: []ma.Multiaddr{r.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + r.ID().String() + "/p2p-circuit"))}}
	}
	limited := over(relay.WithLimit(relay.DefaultLimit()))
	for _, tt := range []struct {
		what      string
		routers   []string
		ok        bool
		providers int
		verdict   string
	}{
		{"one has it", []string{router(has)}, true, 1, "found at 1 providers, and the root was fetched"},
		{"one of two can be reached, and two routers name it", []string{router(gone, has), router(has)}, true, 2, "found at 2"},
		{"none can be reached", []string{router(gone)}, false, 1, "none of its 1 providers could be reached"},
		{"over a relay of its own", []string{router(over(relay.WithInfiniteLimits()))}, true, 1, "found at 1"},
		{"over a public relay, which is nearer than it is", []string{router(peer.AddrInfo{ID: h.ID(), Addrs: append(limited.Addrs, far(t, h.Addrs()[0]))})}, true, 1, "found at 1"},
		{"over a public relay", []string{router(limited)}, false, 1, "could be reached: it is reached only over a relay that limits"},
		{"nobody has it", []string{router()}, false, 0, "nobody is known to have it"},
	} {
		r, err := Content(t.Context(), ContentRequest{CID: block.Cid(), Routers: tt.routers})
		if err != nil || r.OK != tt.ok || len(r.Providers) != tt.providers || !strings.Contains(r.Verdict, tt.verdict) {
			t.Errorf("%s: %+v, %v", tt.what, r, err)
		}
	}
	if _, err := Content(t.Context(), ContentRequest{CID: block.Cid()}); !errors.Is(err, ErrNobody) {
		t.Errorf("without anyone to ask: %v", err)
	}
}

func otherID(t *testing.T) peer.ID {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return h.ID()
}
