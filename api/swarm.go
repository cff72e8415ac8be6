package api

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/goipns/ipns/internal/display"

	"github.com/goipns/ipns/rpc"
)

// swarmCommands are the commands of this file.
var swarmCommands = []rpc.Spec{
	SwarmConnect, SwarmDisconnect, SwarmPeers, SwarmAddrs, SwarmAddrsLocal, SwarmAddrsListen, SwarmAddrsAutoNAT,
	SwarmFilters, SwarmFiltersAdd, SwarmFiltersRm, SwarmResources,
}

var (
	// SwarmConnect: connect to peers.
	SwarmConnect = rpc.Command[SwarmConnectRequest, Strings]{
		Info: rpc.Info{
			Path: "swarm/connect", Args: "<address>...",
			Short:    "Connect to peers",
			Examples: []string{`ipns swarm connect $PEER`},
		},
		Text: SwarmConnectRequest.Text,
	}
	// SwarmDisconnect: close connections.
	SwarmDisconnect = rpc.Command[SwarmConnectRequest, Strings]{
		Info: rpc.Info{
			Path: "swarm/disconnect", Args: "<address>...",
			Short:    "Close connections; the node may make them again",
			Examples: []string{`ipns swarm disconnect $PEER`},
		},
		Text: SwarmConnectRequest.Text,
	}
	// SwarmPeers: list the connected peers.
	SwarmPeers = rpc.Command[SwarmPeersRequest, Peers]{
		Info: rpc.Info{
			Path:     "swarm/peers",
			Short:    "List the connected peers",
			Examples: []string{`ipns swarm peers`},
			Instant:  true,
		},
		Text: SwarmPeersRequest.Text,
	}
	// SwarmAddrs: list the addresses of all known peers.
	SwarmAddrs = rpc.Command[SwarmAddrsRequest, AddrMap]{
		Info: rpc.Info{
			Path:     "swarm/addrs",
			Short:    "List the addresses of all known peers",
			Examples: []string{`ipns swarm addrs`},
			Instant:  true,
		},
		Text: SwarmAddrsRequest.Text,
	}
	// SwarmAddrsLocal: list the addresses that this node announces.
	SwarmAddrsLocal = rpc.Command[SwarmAddrsLocalRequest, Strings]{
		Info: rpc.Info{
			Path:     "swarm/addrs/local",
			Short:    "List the addresses that this node announces",
			Examples: []string{`ipns swarm addrs local`},
			Instant:  true,
		},
		Text: SwarmAddrsLocalRequest.Text,
	}
	// SwarmAddrsListen: list the addresses that this node listens on.
	SwarmAddrsListen = rpc.Command[SwarmAddrsListenRequest, Strings]{
		Info: rpc.Info{
			Path:     "swarm/addrs/listen",
			Short:    "List the addresses that this node listens on",
			Examples: []string{`ipns swarm addrs listen`},
			Instant:  true,
		},
		Text: SwarmAddrsListenRequest.Text,
	}
)

// Strings is a list of lines.
type Strings struct{ Strings []string }

// lines returns one line per element, between the given words.
func lines(before string, list []string, after string) string {
	var b strings.Builder
	for _, s := range list {
		display.Fprintln(&b, before+s+after)
	}
	return b.String()
}

// SwarmConnectRequest connects to peers.
type SwarmConnectRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	Addresses []string `arg:"address,stdin"`
}

// Text is one line per peer.
func (SwarmConnectRequest) Text(s Strings) string { return lines("", s.Strings, "") }

// SwarmPeersRequest lists the connected peers.
type SwarmPeersRequest struct {
	Verbose   bool `opt:"verbose,v" help:"print everything that is known"`
	Streams   bool `opt:"streams" help:"print the open streams too"`
	Latency   bool `opt:"latency" help:"print the latency too"`
	Direction bool `opt:"direction" help:"print who opened the connection too"`
	Identify  bool `opt:"identify" help:"have in JSON what each peer says of itself"`
}

// Peers are the connected peers.
type Peers struct{ Peers []Peer }

// Peer is a connected peer. Direction is 1 for inbound, 2 for outbound, 0 if not
// requested.
type Peer struct {
	Addr      string
	Peer      string
	Latency   string       `json:",omitempty"`
	Direction int          `json:",omitempty"`
	Streams   []PeerStream `json:",omitempty"`
	Identify  Identity     // empty unless requested
}

// PeerStream is an open stream.
type PeerStream struct{ Protocol string }

// Text is one address per line.
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
			display.Fprintf(&b, "  %s\n", cmp.Or(s.Protocol, "<no protocol name>"))
		}
	}
	return b.String()
}

// SwarmAddrsRequest lists all known addresses.
type SwarmAddrsRequest struct{}

// AddrMap holds the addresses of each peer.
type AddrMap struct{ Addrs map[string][]string }

// Text is each peer with its addresses below.
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

// SwarmAddrsLocalRequest lists the addresses that this node announces.
type SwarmAddrsLocalRequest struct {
	ID bool `opt:"id" help:"add the peer id"`
}

// Text is one address per line.
func (SwarmAddrsLocalRequest) Text(s Strings) string { return lines("", s.Strings, "") }

// SwarmAddrsListenRequest lists the addresses that this node listens on.
type SwarmAddrsListenRequest struct{}

// Text is one address per line.
func (SwarmAddrsListenRequest) Text(s Strings) string { return lines("", s.Strings, "") }
