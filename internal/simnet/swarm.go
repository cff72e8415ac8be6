package simnet

import (
	"context"
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

// simSwarm is the network.Network of a simHost.
type simSwarm struct{ h *simHost }

func (s *simSwarm) Peerstore() peerstore.Peerstore { return s.h.store }
func (s *simSwarm) LocalPeer() peer.ID             { return s.h.id }
func (s *simSwarm) Close() error                   { return s.h.Close() }

// DialPeer connects without waiting for identify: one round trip.
func (s *simSwarm) DialPeer(ctx context.Context, p peer.ID) (network.Conn, error) {
	c, err := s.h.dial(ctx, p)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *simSwarm) ClosePeer(p peer.ID) error {
	for _, c := range s.ConnsToPeer(p) {
		c.Close()
	}
	return nil
}

func (s *simSwarm) Connectedness(p peer.ID) network.Connectedness {
	if len(s.ConnsToPeer(p)) > 0 {
		return network.Connected
	}
	return network.NotConnected
}

func (s *simSwarm) Peers() []peer.ID {
	var ids []peer.ID
	for _, c := range s.h.connections() {
		ids = append(ids, c.server.id)
	}
	return ids
}

func (s *simSwarm) Conns() []network.Conn {
	var conns []network.Conn
	for _, c := range s.h.connections() {
		conns = append(conns, c)
	}
	return conns
}

func (s *simSwarm) ConnsToPeer(p peer.ID) []network.Conn {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if c := s.h.open[p]; c != nil {
		return []network.Conn{c}
	}
	return nil
}

func (s *simSwarm) Notify(nf network.Notifiee) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.notifiees = append(s.h.notifiees, nf)
}

func (s *simSwarm) StopNotify(nf network.Notifiee) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.notifiees = slices.DeleteFunc(s.h.notifiees, func(other network.Notifiee) bool { return other == nf })
}

func (s *simSwarm) CanDial(p peer.ID, _ ma.Multiaddr) bool { return p != s.h.id }

// NewStream opens a stream without a protocol: call SetProtocol before the first message.
func (s *simSwarm) NewStream(ctx context.Context, p peer.ID) (network.Stream, error) {
	c, err := s.h.dial(ctx, p)
	if err != nil {
		return nil, err
	}
	return c.newStream("")
}

func (s *simSwarm) SetStreamHandler(network.StreamHandler) {}

func (s *simSwarm) Listen(...ma.Multiaddr) error {
	return errors.New("simnet: hosts of this network cannot be dialled")
}

func (s *simSwarm) ListenAddresses() []ma.Multiaddr { return s.h.Addrs() }

func (s *simSwarm) InterfaceListenAddresses() ([]ma.Multiaddr, error) { return s.h.Addrs(), nil }

func (s *simSwarm) ResourceManager() network.ResourceManager { return &network.NullResourceManager{} }
