// Package routingapi is what a node tells others under /routing/v1: what it knows and finds,
// and what becomes of the records that they PUT.
package routingapi

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	corerouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/internal/relay"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
)

// maxProviders is how many providers of one CID are searched for.
const maxProviders = 1000

// searchAgain is when clients may retry if too many searches are running.
const searchAgain = 5 * time.Second

// API is what others may ask by HTTP. Offline it serves only records.
type API struct {
	Network *host.Network
	Names   *resolver.Resolver
	Opener  *routing.Opener
	Relay   *relay.Relay // nil: there is nobody to put to
}

// Handler serves it by a config.
func (a API) Handler(c *repo.Config) http.Handler {
	h := &delegated.Handler{Find: a.FindRecord, Opener: a.Opener}
	if a.Relay != nil && c.Gateway.Relays() {
		h.Take = a.Relay.Take
	}
	if a.Network.DHT != nil {
		h.Providers, h.Peer, h.Closest = a.findProviders, a.findPeer, a.findClosest
	}
	return h
}

// FindRecord is the Find of a [delegated.Handler].
func (a API) FindRecord(ctx context.Context, name ipns.Name) (*ipns.Record, time.Time, error) {
	hop, err := a.Names.Lookup(ctx, name, resolver.Options{Timeout: delegated.DefaultLookup})
	switch {
	case errors.Is(err, resolver.ErrNotFound), errors.Is(err, resolver.ErrExpired):
		return nil, time.Time{}, delegated.ErrNotFound
	case errors.Is(err, resolver.ErrBusy):
		return nil, time.Time{}, &delegated.LimitError{RetryAfter: searchAgain, Err: err}
	case err != nil:
		return nil, time.Time{}, err
	}
	return hop.Record, hop.LastModified(), nil
}

func (a API) findProviders(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	return a.asked(ctx, func(yield func(peer.AddrInfo, error) bool) {
		delegated.FromChannel(ctx, a.Network.DHT.Dual.FindProvidersAsync(ctx, c, maxProviders))(yield)
	})
}

func (a API) findPeer(ctx context.Context, id peer.ID) iter.Seq2[peer.AddrInfo, error] {
	return a.asked(ctx, func(yield func(peer.AddrInfo, error) bool) {
		p, err := a.Network.DHT.Dual.FindPeer(ctx, id)
		if errors.Is(err, corerouting.ErrNotFound) {
			err = delegated.ErrNotFound
		}
		yield(p, err)
	})
}

// findClosest finds the servers closest to a key: on the public network, or on the local
// one if there is none.
func (a API) findClosest(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	return a.asked(ctx, func(yield func(peer.AddrInfo, error) bool) {
		d := a.Network.DHT.Dual.WAN
		if d.RoutingTable().Size() == 0 {
			d = a.Network.DHT.Dual.LAN
		}
		ids, err := d.GetClosestPeers(ctx, string(c.Hash()))
		for _, id := range ids {
			if !yield(a.Network.Host.Peerstore().PeerInfo(id), nil) {
				return
			}
		}
		if err != nil && len(ids) == 0 {
			yield(peer.AddrInfo{}, err)
		}
	})
}

// asked asks once there is somebody to ask: that nobody could be asked is not the same as
// that nobody has anything.
func (a API) asked(ctx context.Context, ask iter.Seq2[peer.AddrInfo, error]) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		if err := a.Network.WaitForPeers(ctx); err != nil {
			yield(peer.AddrInfo{}, err)
			return
		}
		ask(yield)
	}
}
