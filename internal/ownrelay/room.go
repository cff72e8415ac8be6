package ownrelay

import (
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	pb "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/util"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// What strangers may have of the relay at once: open streams, each of which is a connection
// through it or asks for one. Nobody takes all connections of a node.
const (
	perPeer = 8
	perNet  = 16 // an IPv4 address, or a /48 of IPv6: peer ids cost nothing
	net6    = 48
)

// Limits of telling one that there is no room.
const (
	refuseTimeout = 10 * time.Second
	maxAsked      = 4096 // bytes of what it asks
)

// room counts what strangers have.
type room struct {
	nodes map[peer.ID]bool // of the relay's owner; they have what libp2p lets a peer have

	mu    sync.Mutex // guards all below
	peers map[peer.ID]int
	nets  map[netip.Prefix]int
}

func newRoom(nodes map[peer.ID]bool) *room {
	return &room{nodes: nodes, peers: map[peer.ID]int{}, nets: map[netip.Prefix]int{}}
}

// enter reports whether a peer may have one more stream, which it has until leave is called.
func (r *room) enter(c network.Conn) (leave func(), ok bool) {
	p, n := c.RemotePeer(), netOf(c.RemoteMultiaddr())
	if r.nodes[p] {
		return func() {}, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peers[p] >= perPeer || n.IsValid() && r.nets[n] >= perNet {
		return nil, false
	}
	count(r.peers, p, 1)
	count(r.nets, n, 1)
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		count(r.peers, p, -1)
		count(r.nets, n, -1)
	}), true
}

// count keeps only what is there.
func count[K comparable](of map[K]int, k K, by int) {
	if of[k] += by; of[k] == 0 {
		delete(of, k)
	}
}

// netOf is where a peer connects from; it is not valid if nobody knows.
func netOf(a ma.Multiaddr) netip.Prefix {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Prefix{}
	}
	at, _ := netip.AddrFromSlice(ip) // 4 or 16 bytes
	at = at.Unmap()
	bits := at.BitLen()
	if at.Is6() {
		bits = net6
	}
	return netip.PrefixFrom(at, bits).Masked()
}

// refuse answers that there is no room, as the relay does, once it was asked.
func refuse(s network.Stream) {
	_ = s.SetDeadline(time.Now().Add(refuseTimeout)) // not all streams have deadlines
	asked := util.NewDelimitedReader(s, maxAsked)
	defer asked.Close()
	err := asked.ReadMsg(new(pb.HopMessage))
	if err == nil {
		err = util.NewDelimitedWriter(s).WriteMsg(&pb.HopMessage{
			Type: pb.HopMessage_STATUS.Enum(), Status: pb.Status_RESOURCE_LIMIT_EXCEEDED.Enum(),
		})
	}
	if err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}
