package roads

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/ipfs/boxo/routing/http/client"
	"github.com/ipfs/boxo/routing/http/contentrouter"
	"github.com/ipfs/go-cid"
	helpers "github.com/libp2p/go-libp2p-routing-helpers"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	corerouting "github.com/libp2p/go-libp2p/core/routing"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/repo"
)

// Limits of asking HTTP routers for content and peers.
const (
	findTimeout  = 15 * time.Second // for one router beside the DHTs
	findResponse = 1 << 20          // bytes of one response
	findConns    = 100              // idle connections to one router
)

// Finder announces content, and finds it and peers.
type Finder interface {
	corerouting.ContentRouting
	corerouting.PeerRouting
}

// FinderOptions are what a Finder is made of. The DHTs are nil for a node that has none.
type FinderOptions struct {
	Host          host.Host
	Key           crypto.PrivKey
	All, WAN, LAN corerouting.Routing
}

// nobody knows of no content and no peer.
type nobodyKnows = helpers.Null

// Finder returns what announces and finds content and peers on all roads that the config
// has for it.
func (n *Roads) Finder(f FinderOptions) (Finder, error) {
	found, err := n.finder(f)
	if err != nil {
		return nil, fmt.Errorf("config Routing: %w", err)
	}
	if len(n.config.Routing.IgnoreProviders) == 0 {
		return found, nil
	}
	ignored := ignoring{Finder: found, peers: map[peer.ID]bool{}}
	for _, text := range n.config.Routing.IgnoreProviders {
		p, err := peer.Decode(text)
		if err != nil {
			return nil, fmt.Errorf("config Routing.IgnoreProviders: %q: %w", text, err)
		}
		ignored.peers[p] = true
	}
	return ignored, nil
}

func (n *Roads) finder(f FinderOptions) (Finder, error) {
	switch n.config.Routing.Type {
	case "none":
		return nobodyKnows{}, nil
	case "custom":
		return n.customFinder(f)
	case "", "auto", "autoclient", "delegated":
	default:
		return f.All, nil
	}
	var all []*helpers.ParallelRouter
	if n.config.Routing.Type != "delegated" {
		all = append(all, &helpers.ParallelRouter{Router: f.All, DoNotWaitForSearchValue: true})
	}
	for _, r := range n.config.Finders() {
		h, err := n.httpFinder(r.URL, f)
		if err != nil {
			return nil, err
		}
		one := &helpers.Compose{}
		if r.Providers {
			one.ContentRouting = findOnly{h}
		}
		if r.Peers {
			one.PeerRouting = h
		}
		all = append(all, &helpers.ParallelRouter{Router: one, IgnoreError: true, Timeout: findTimeout, DoNotWaitForSearchValue: true})
	}
	if len(all) == 0 {
		return nobodyKnows{}, nil
	}
	return helpers.NewComposableParallel(all), nil
}

// findOnly finds content and does not announce it: for that there is no standard yet.
type findOnly struct{ corerouting.ContentRouting }

func (findOnly) Provide(context.Context, cid.Cid, bool) error { return corerouting.ErrNotSupported }

// httpFinder returns the client of an HTTP router.
func (n *Roads) httpFinder(url string, f FinderOptions) (corerouting.Routing, error) {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = findConns
	n.idle = append(n.idle, base.CloseIdleConnections)
	protocols := []string{"unknown", "transport-bitswap"}
	if repo.On(n.config.HTTPRetrieval.Enabled) {
		protocols = append(protocols, "transport-ipfs-gateway-http")
	}
	c, err := client.New(url,
		client.WithHTTPClient(&http.Client{Transport: &client.ResponseBodyLimitedTransport{RoundTripper: base, LimitBytes: findResponse}}),
		client.WithIdentity(f.Key),
		client.WithProviderInfoFunc(f.Host.ID(), n.told(f.Host)),
		client.WithUserAgent(n.agent),
		client.WithProtocolFilter(protocols),
		client.WithStreamResultsRequired(),
		client.WithDisabledLocalFiltering(false),
	)
	if err != nil {
		return nil, fmt.Errorf("router %q: %w", url, err)
	}
	router := contentrouter.NewContentRoutingClient(c)
	return struct {
		corerouting.ContentRouting
		corerouting.PeerRouting
		corerouting.ValueStore
		nothingToJoin
	}{silent{router}, router, helpers.Null{}, nothingToJoin{}}, nil
}

// silent is a router that may take an announcement without a word of how long it keeps it.
type silent struct{ corerouting.ContentRouting }

func (s silent) Provide(ctx context.Context, c cid.Cid, announce bool) error {
	if err := s.ContentRouting.Provide(ctx, c, announce); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

type nothingToJoin struct{}

func (nothingToJoin) Bootstrap(context.Context) error { return nil }

// told returns the addresses that an HTTP router is told of this node: those that are
// announced, and of them the public ones if there are any. What the config adds is always
// among them.
func (n *Roads) told(h host.Host) func() []ma.Multiaddr {
	return func() []ma.Multiaddr {
		announced := h.Addrs()
		if len(n.config.Addresses.Announce) > 0 {
			return announced
		}
		added := func(a ma.Multiaddr) bool { return slices.Contains(n.config.Addresses.AppendAnnounce, a.String()) }
		own := ma.FilterAddrs(announced, func(a ma.Multiaddr) bool { return !added(a) })
		if public := ma.FilterAddrs(own, manet.IsPublicAddr); len(public) > 0 {
			own = public
		}
		return slices.Concat(own, ma.FilterAddrs(announced, added))
	}
}

// customFinder is what Routers and Methods say.
func (n *Roads) customFinder(f FinderOptions) (Finder, error) {
	if err := n.config.Routing.CheckCustom(); err != nil {
		return nil, err
	}
	made := map[string]corerouting.Routing{}
	by := map[string]corerouting.Routing{}
	for _, method := range []string{"provide", "find-providers", "find-peers"} {
		r, err := n.namedFinder(n.config.Routing.Methods[method].RouterName, f, made)
		if err != nil {
			return nil, err
		}
		by[method] = r
	}
	return split{by["provide"], by["find-providers"], by["find-peers"]}, nil
}

// split has a router for each method.
type split struct{ provide, providers, peers corerouting.Routing }

func (s split) Provide(ctx context.Context, c cid.Cid, announce bool) error {
	return s.provide.Provide(ctx, c, announce)
}

func (s split) FindProvidersAsync(ctx context.Context, c cid.Cid, n int) <-chan peer.AddrInfo {
	return s.providers.FindProvidersAsync(ctx, c, n)
}

func (s split) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	return s.peers.FindPeer(ctx, p)
}

// namedFinder returns the router with a name, which is made once. It was checked that none
// contains itself.
func (n *Roads) namedFinder(name string, f FinderOptions, made map[string]corerouting.Routing) (r corerouting.Routing, err error) {
	if made[name] != nil {
		return made[name], nil
	}
	c := n.config.Routing.Routers[name]
	switch p := c.Parameters; c.Type {
	case "http":
		r, err = n.httpFinder(p.Endpoint, f)
	case "dht":
		if r = f.LAN; p.PublicIPNetwork {
			r = f.WAN
		}
	case "parallel", "sequential":
		var at []*helpers.ParallelRouter
		var after []*helpers.SequentialRouter
		for _, s := range p.Routers {
			step, err := n.namedFinder(s.RouterName, f, made)
			if err != nil {
				return nil, err
			}
			at = append(at, &helpers.ParallelRouter{
				Router: step, IgnoreError: s.IgnoreErrors, Timeout: time.Duration(s.Timeout), ExecuteAfter: time.Duration(s.ExecuteAfter),
				DoNotWaitForSearchValue: true,
			})
			after = append(after, &helpers.SequentialRouter{Router: step, IgnoreError: s.IgnoreErrors, Timeout: time.Duration(s.Timeout)})
		}
		if r = helpers.NewComposableParallel(at); c.Type == "sequential" {
			r = helpers.NewComposableSequential(after)
		}
	default:
		err = errors.New("unknown router type " + c.Type)
	}
	made[name] = r
	return r, err
}

// ignoring is a Finder that never finds some peers' content.
type ignoring struct {
	Finder
	peers map[peer.ID]bool
}

func (i ignoring) FindProvidersAsync(ctx context.Context, c cid.Cid, n int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	go func() { // ends with the search, or with ctx
		defer close(out)
		for p := range i.Finder.FindProvidersAsync(ctx, c, n) {
			if i.peers[p.ID] {
				continue
			}
			select {
			case out <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
