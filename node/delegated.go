package node

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
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing/delegated"
)

// maxProviders is how many providers of one CID are looked for.
const maxProviders = 1000

// searchAgain is how long those wait who ask while too many searches go on.
const searchAgain = 5 * time.Second

// routingHandler serves what this node knows and finds to others, by HTTP; nil if the
// config does not want that. Offline it serves records only.
func (n *Node) routingHandler(c *repo.Config) http.Handler {
	if !repo.On(c.Gateway.ExposeRoutingAPI) {
		return nil
	}
	h := &delegated.Handler{Find: n.findRecord, Opener: &n.Opener}
	if n.relay != nil && c.Gateway.RoutingPuts == repo.RelayPuts {
		h.Take = n.relay.Take
	}
	if n.DHT != nil {
		h.Providers, h.Peer, h.Closest = n.findProviders, n.findPeer, n.findClosest
	}
	return h
}

func (n *Node) findRecord(ctx context.Context, name ipns.Name) (*ipns.Record, time.Time, error) {
	hop, err := n.Resolver.Lookup(ctx, name, resolver.Options{Timeout: delegated.DefaultLookup})
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

func (n *Node) findProviders(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	return n.asked(ctx, func(yield func(peer.AddrInfo, error) bool) {
		delegated.FromChannel(ctx, n.DHT.Dual.FindProvidersAsync(ctx, c, maxProviders))(yield)
	})
}

func (n *Node) findPeer(ctx context.Context, id peer.ID) iter.Seq2[peer.AddrInfo, error] {
	return n.asked(ctx, func(yield func(peer.AddrInfo, error) bool) {
		p, err := n.DHT.Dual.FindPeer(ctx, id)
		if errors.Is(err, corerouting.ErrNotFound) {
			err = delegated.ErrNotFound
		}
		yield(p, err)
	})
}

// findClosest finds the servers closest to a key, in the public network unless there
// is none.
func (n *Node) findClosest(ctx context.Context, c cid.Cid) iter.Seq2[peer.AddrInfo, error] {
	return n.asked(ctx, func(yield func(peer.AddrInfo, error) bool) {
		d := n.DHT.Dual.WAN
		if d.RoutingTable().Size() == 0 {
			d = n.DHT.Dual.LAN
		}
		ids, err := d.GetClosestPeers(ctx, string(c.Hash()))
		for _, id := range ids {
			if !yield(n.Host.Peerstore().PeerInfo(id), nil) {
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
func (n *Node) asked(ctx context.Context, ask iter.Seq2[peer.AddrInfo, error]) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		if err := n.Network.WaitForPeers(ctx); err != nil {
			yield(peer.AddrInfo{}, err)
			return
		}
		ask(yield)
	}
}
