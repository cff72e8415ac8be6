package rpc

import (
	"maps"
	"slices"
	"strings"

	"github.com/goipns/ipns/internal/display"
)

// Strings is a list of lines.
type Strings struct{ Strings []string }

func (s Strings) lines() string {
	var b strings.Builder
	for _, line := range s.Strings {
		display.Fprintln(&b, line)
	}
	return b.String()
}

// SwarmConnectRequest connects to peers.
type SwarmConnectRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	Addresses []string `arg:"address,stdin"`
}

// Text is one line a peer.
func (SwarmConnectRequest) Text(s Strings) string { return s.lines() }

// SwarmPeersRequest asks for the connected peers.
type SwarmPeersRequest struct {
	_ struct{} `kubo:"identify=false"`

	Verbose   bool `opt:"verbose,v" help:"print all that is known"`
	Streams   bool `opt:"streams" help:"print the open streams too"`
	Latency   bool `opt:"latency" help:"print the latency too"`
	Direction bool `opt:"direction" help:"print who connected too"`
}

// Peers are the connected peers.
type Peers struct{ Peers []Peer }

// Peer is a connected peer. Direction is 1 inbound, 2 outbound, 0 not asked for.
type Peer struct {
	Addr      string
	Peer      string
	Latency   string       `json:",omitempty"`
	Direction int          `json:",omitempty"`
	Streams   []PeerStream `json:",omitempty"`
}

// PeerStream is an open stream.
type PeerStream struct{ Protocol string }

// Text is one address a line.
func (SwarmPeersRequest) Text(p Peers) string {
	var b strings.Builder
	for _, c := range p.Peers {
		display.Fprintf(&b, "%s/p2p/%s", c.Addr, c.Peer)
		if c.Latency != "" {
			display.Fprintf(&b, " %s", c.Latency)
		}
		if c.Direction == 1 {
			b.WriteString(" inbound")
		} else if c.Direction == 2 {
			b.WriteString(" outbound")
		}
		b.WriteByte('\n')
		for _, s := range c.Streams {
			display.Fprintf(&b, "  %s\n", s.Protocol)
		}
	}
	return b.String()
}

// SwarmAddrsRequest asks for all known addresses.
type SwarmAddrsRequest struct{}

// AddrMap has the addresses of each peer.
type AddrMap struct{ Addrs map[string][]string }

// Text is one peer and its addresses below.
func (SwarmAddrsRequest) Text(m AddrMap) string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(m.Addrs)) {
		display.Fprintf(&b, "%s (%d)\n", p, len(m.Addrs[p]))
		for _, a := range m.Addrs[p] {
			display.Fprintf(&b, "\t%s\n", a)
		}
	}
	return b.String()
}

// SwarmAddrsLocalRequest asks for the addresses that this node announces.
type SwarmAddrsLocalRequest struct {
	ID bool `opt:"id" help:"add the peer id"`
}

// Text is one address a line.
func (SwarmAddrsLocalRequest) Text(s Strings) string { return s.lines() }

// SwarmAddrsListenRequest asks for the addresses that this node listens on.
type SwarmAddrsListenRequest struct{}

// Text is one address a line.
func (SwarmAddrsListenRequest) Text(s Strings) string { return s.lines() }

// BootstrapListRequest asks for the peers by which the node joins the networks.
type BootstrapListRequest struct {
	ExpandAuto bool `opt:"expand-auto" help:"print the peers that auto stands for"`
}

// BootstrapPeers are bootstrap peers: multiaddrs with a peer id, or auto for those of
// the public network.
type BootstrapPeers struct{ Peers []string }

// Text is one peer a line.
func (BootstrapListRequest) Text(p BootstrapPeers) string { return Strings{p.Peers}.lines() }

// BootstrapAddRequest adds bootstrap peers.
type BootstrapAddRequest struct {
	Peers   []string `arg:"peer,optional"`
	Default bool     `opt:"default" help:"add those of the public network"`
}

// Text is one line a peer that was not there yet.
func (BootstrapAddRequest) Text(p BootstrapPeers) string { return p.lines("added ") }

// BootstrapRemoveRequest removes bootstrap peers.
type BootstrapRemoveRequest struct {
	Peers []string `arg:"peer,optional"`
	All   bool     `opt:"all" help:"remove all: this node need not be on a network"`
}

// Text is one line a peer that was removed.
func (BootstrapRemoveRequest) Text(p BootstrapPeers) string { return p.lines("removed ") }

func (p BootstrapPeers) lines(done string) string {
	var s Strings
	for _, peer := range p.Peers {
		s.Strings = append(s.Strings, done+peer)
	}
	return s.lines()
}
