package check

import (
	"context"
	"errors"
	"iter"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns/routing/delegated"
)

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
