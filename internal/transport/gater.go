package transport

import (
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

// gater decides what is dialled, and has relays dialled at all their addresses at once.
//
// libp2p tries the addresses of a peer behind a relay one after the other, each for up to five
// seconds, those over UDP first, and gives up after 15. Where UDP does not get out, it seldom
// came to the relay's address over TCP.
type gater struct {
	*Ranges
	peers atomic.Pointer[peerstore.Peerstore] // nil until the host is there
}

// InterceptAddrDial is asked about all addresses of a peer before any is dialled.
func (g *gater) InterceptAddrDial(p peer.ID, a ma.Multiaddr) bool {
	if !g.Ranges.InterceptAddrDial(p, a) {
		return false
	}
	relay, over := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT })
	peers := g.peers.Load()
	if over == nil || relay == nil || peers == nil {
		return true
	}
	if at, err := peer.AddrInfoFromP2pAddr(relay); err == nil {
		(*peers).AddAddrs(at.ID, at.Addrs, peerstore.TempAddrTTL)
	}
	return true
}
