package dht

import (
	"context"
	"errors"
	"fmt"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// ErrNoAddress means that this node has no address by which others on a network reach it.
var ErrNoAddress = errors.New("this node has no address that others could use")

// Announce tells the 20 servers closest to some content, whose multihash is its key, that
// this node has it, and returns how many took that. It finds the servers, and replaces
// those that fail, as [Router.Put] does.
func (r *Router) Announce(ctx context.Context, key []byte) (took int, err error) {
	p := r.newPut(ctx, key, nil)
	defer p.end()
	addrs := r.kad.FilteredAddrs()
	switch {
	case len(p.sorted) == 0:
		err = r.nobody()
	case len(addrs) == 0:
		err = ErrNoAddress
	}
	if err != nil {
		return 0, fmt.Errorf("announcing content on %s: %w", r.network, err)
	}
	frame, err := announcement(key, peer.AddrInfo{ID: r.host.ID(), Addrs: addrs})
	if err != nil {
		return 0, fmt.Errorf("encoding request: %w", err)
	}
	p.announcement = frame
	err = p.run(func(e event) bool {
		if e.kind == eventPut && e.err == nil {
			took++
		}
		return true
	})
	if err != nil {
		return took, fmt.Errorf("announcing content on %s: %w", r.network, err)
	}
	return took, nil
}

// announcement is one request for a link, although it is two: servers do not answer an
// announcement, so a query for the providers follows. Its answer means that the server has
// handled what came before it, as a server resets the stream if it cannot.
func announcement(key []byte, self peer.AddrInfo) ([]byte, error) {
	add := pb.NewMessage(pb.Message_ADD_PROVIDER, key, 0)
	add.ProviderPeers = pb.RawPeerInfosToPBPeers([]peer.AddrInfo{self})
	first, err := encodeFrame(add)
	if err != nil {
		return nil, err
	}
	second, err := encodeFrame(pb.NewMessage(pb.Message_GET_PROVIDERS, key, 0))
	return append(first, second...), err
}
