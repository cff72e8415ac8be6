package testnet

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Replace kills server i and starts another one in its place, which knows the others and is
// known to them. No other method may run meanwhile; functions of Watch and Hear are not told
// of the new server.
func (nw *Network) Replace(i int) error {
	if err := nw.servers[i].Kill(); err != nil {
		return fmt.Errorf("stopping server %d: %w", i, err)
	}
	s, err := newServer()
	if err != nil {
		return fmt.Errorf("starting server %d: %w", i, err)
	}
	nw.servers[i] = s
	for _, other := range nw.servers {
		if other != s {
			s.know(other.Info())
			other.know(s.Info())
		}
	}
	return nil
}

// CutOff makes all servers unreachable for the peers, instead of those before. It undoes
// Partition.
func (nw *Network) CutOff(peers ...peer.ID) {
	cut := make(map[peer.ID]bool, len(peers))
	for _, p := range peers {
		cut[p] = true
	}
	for _, s := range nw.servers {
		s.cutOff(cut)
	}
}
