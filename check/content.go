package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/boxo/bitswap/client"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	finder "github.com/ipfs/boxo/routing/http/client"
	"github.com/ipfs/boxo/routing/http/contentrouter"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

// Limits of a check of content.
const (
	maxProviders = 20               // that are dialled
	findTimeout  = 20 * time.Second // for all that are asked for them; who hangs must not take the time to fetch
	dialTimeout  = 15 * time.Second // for one of them, and to find its addresses
	fetchTimeout = 30 * time.Second // for the block
	maxFound     = 1 << 20          // bytes of a router's response
)

// ContentRequest says which content to look for, and where.
type ContentRequest struct {
	CID cid.Cid
	// Peers are dialled to join the DHTs; Routers are URLs of delegated routers.
	Peers   []peer.AddrInfo
	Routers []string
	// UserAgent identifies this node to those it asks.
	UserAgent string
}

// ContentReport says who is said to have content, and whether one of them gave its block.
type ContentReport struct {
	CID       string
	OK        bool
	Verdict   string
	Providers []Provider
	Took      time.Duration // nanoseconds
}

// Provider is a node that others name as having the content.
type Provider struct {
	Peer  string
	Error string `json:",omitempty"` // why it could not be reached
}

// Content finds out whether a host that knows nothing finds a provider of a block, and gets
// the block from one. Both are asked of separate hosts: one looks for providers, and one
// knows nobody but them.
func Content(ctx context.Context, req ContentRequest) (ContentReport, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	r := ContentReport{CID: req.CID.String()}
	if len(req.Peers)+len(req.Routers) == 0 {
		return r, ErrNobody
	}
	found, err := providers(ctx, req)
	if err != nil {
		return r, err
	}
	if len(found) == 0 {
		r.Verdict, r.Took = "nobody is known to have it", time.Since(start)
		return r, nil
	}
	err = r.fetch(ctx, req, found)
	r.Took = time.Since(start)
	return r, err
}

// providers asks the DHTs and the routers who has the content.
func providers(ctx context.Context, req ContentRequest) ([]peer.AddrInfo, error) {
	var asks []func(context.Context) <-chan peer.AddrInfo
	var at *dht.DHT
	if len(req.Peers) > 0 {
		d, leave, err := join(ctx, req.Peers, req.UserAgent, new(routing.Opener))
		if err != nil {
			return nil, err
		}
		defer leave()
		at = d
		asks = append(asks, func(ctx context.Context) <-chan peer.AddrInfo {
			return d.Dual.FindProvidersAsync(ctx, req.CID, maxProviders)
		})
	}
	bounded := &http.Client{Transport: &finder.ResponseBodyLimitedTransport{RoundTripper: http.DefaultTransport, LimitBytes: maxFound}}
	for _, u := range req.Routers {
		options := []finder.Option{finder.WithStreamResultsRequired(), finder.WithHTTPClient(bounded)}
		if req.UserAgent != "" {
			options = append(options, finder.WithUserAgent(req.UserAgent))
		}
		c, err := finder.New(u, options...)
		if err != nil {
			return nil, fmt.Errorf("router %s: %w", u, err)
		}
		r := contentrouter.NewContentRoutingClient(c)
		asks = append(asks, func(ctx context.Context) <-chan peer.AddrInfo {
			return r.FindProvidersAsync(ctx, req.CID, maxProviders)
		})
	}
	var mu sync.Mutex // guards found
	var found []peer.AddrInfo
	within, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, ask := range asks {
		wg.Go(func() {
			for p := range ask(within) {
				mu.Lock()
				found = merge(found, p)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if at != nil {
		complete(ctx, at, found)
	}
	return found, nil
}

// merge adds a provider, or the addresses of one that is known.
func merge(list []peer.AddrInfo, p peer.AddrInfo) []peer.AddrInfo {
	for i := range list {
		if list[i].ID == p.ID {
			list[i].Addrs = append(list[i].Addrs, p.Addrs...)
			return list
		}
	}
	if len(list) == maxProviders {
		return list
	}
	return append(list, p)
}

// complete looks for the addresses of providers that came without.
func complete(ctx context.Context, d *dht.DHT, found []peer.AddrInfo) {
	var wg sync.WaitGroup
	for i := range found {
		if len(found[i].Addrs) > 0 {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			if p, err := d.Dual.FindPeer(ctx, found[i].ID); err == nil {
				found[i].Addrs = p.Addrs
			}
		})
	}
	wg.Wait()
}

// fetch asks the providers for the block.
func (r *ContentReport) fetch(ctx context.Context, req ContentRequest, found []peer.AddrInfo) error {
	// Without EnableRelay a host that does not listen dials no relays, either.
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.EnableRelay(), libp2p.UserAgent(req.UserAgent))
	if err != nil {
		return fmt.Errorf("host for the check: %w", err)
	}
	defer h.Close()
	over := bsnet.NewFromIpfsHost(h)
	store := blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore()))
	exchange := client.New(ctx, over, nil, store)
	over.Start(exchange)
	defer func() {
		over.Stop()
		_ = exchange.Close() // nothing of it is kept
	}()
	if r.Providers = dial(ctx, h, found); !slices.ContainsFunc(r.Providers, reached) {
		r.Verdict = fmt.Sprintf("none of its %d providers could be reached: %s", len(found), r.Providers[0].Error)
		return nil
	}
	within, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	_, err = exchange.GetBlock(within, req.CID)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		r.Verdict = fmt.Sprintf("none of its %d providers gave the block within %v", len(found), fetchTimeout)
	case err != nil:
		r.Verdict = fmt.Sprintf("none of its %d providers gave the block: %v", len(found), err)
	default:
		r.OK, r.Verdict = true, fmt.Sprintf("found at %d providers, and the root was fetched", len(found))
	}
	return nil
}

func reached(p Provider) bool { return p.Error == "" }

// limitedRelay is why a provider that is reached gives nothing.
const limitedRelay = "it is reached only over a relay that limits connections, and no content goes over those; " +
	"nodes that punch holes may get it, which is not tried here"

// directly connects to a provider that a relay has connected first. It may be further away.
func directly(ctx context.Context, h host.Host, p peer.AddrInfo) bool {
	return slices.ContainsFunc(p.Addrs, func(a ma.Multiaddr) bool { return !relayed(a) }) &&
		h.Connect(network.WithForceDirectDial(ctx, "no content goes over the relay"), p) == nil
}

func relayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// dial connects to the providers.
func dial(ctx context.Context, h host.Host, found []peer.AddrInfo) []Provider {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	list := make([]Provider, len(found))
	var wg sync.WaitGroup
	for i, p := range found {
		list[i].Peer = p.ID.String()
		wg.Go(func() {
			if err := h.Connect(network.WithAllowLimitedConn(ctx, "to say so"), p); err != nil {
				list[i].Error = err.Error()
			} else if h.Network().Connectedness(p.ID) == network.Limited && !directly(ctx, h, p) {
				list[i].Error = limitedRelay
			}
		})
	}
	wg.Wait()
	return list
}
