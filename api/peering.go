package api

import (
	"strings"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// peeringCommands are the commands of this file.
var peeringCommands = []rpc.Spec{SwarmPeeringAdd, SwarmPeeringLs, SwarmPeeringRm}

var (
	// SwarmPeeringAdd: keep connections to peers.
	SwarmPeeringAdd = rpc.Command[PeeringAddRequest, Peered]{
		Info: rpc.Info{
			Path: "swarm/peering/add", Args: "<address>...",
			Short: "Keep a connection to a peer, until the node stops",
			Long: "Keep a connection to a peer, and make it again when it is lost. This is not\n" +
				"stored: peers in the config's Peering.Peers are peered with at each start.",
			Examples: []string{`ipns swarm peering add $PEER`},
			Chunked:  true,
		},
		Text: PeeringAddRequest.Text,
	}
	// SwarmPeeringLs: list the peers to which connections are kept.
	SwarmPeeringLs = rpc.Command[PeeringListRequest, PeeringPeers]{
		Info: rpc.Info{
			Path:     "swarm/peering/ls",
			Short:    "List the peers to which connections are kept",
			Examples: []string{`ipns swarm peering ls`},
			Instant:  true,
		},
		Text: PeeringListRequest.Text,
	}
	// SwarmPeeringRm: no longer keep the connections to peers.
	SwarmPeeringRm = rpc.Command[PeeringRemoveRequest, Peered]{
		Info: rpc.Info{
			Path: "swarm/peering/rm", Args: "<peer id>...",
			Short:    "No longer keep the connection to a peer",
			Examples: []string{`ipns swarm peering rm $NODE`},
			Chunked:  true,
		},
		Text: PeeringRemoveRequest.Text,
	}
)

// PeeringAddRequest adds peers by their addresses.
type PeeringAddRequest struct {
	Addresses []string `arg:"address"`
}

// Peered is a peer that was added or removed.
type Peered struct{ ID, Status string }

// Text is one line a peer.
func (PeeringAddRequest) Text(p Peered) string {
	return display.Sprintf("add %s %s\n", p.ID, p.Status)
}

// PeeringListRequest lists the peers.
type PeeringListRequest struct{}

// PeeringPeers are the peers to which connections are kept.
type PeeringPeers struct{ Peers []PeerAddrs }

// Text is each peer with its addresses below.
func (PeeringListRequest) Text(p PeeringPeers) string {
	var b strings.Builder
	for _, info := range p.Peers {
		display.Fprintf(&b, "%s\n%s", info.ID, lines("\t", info.Addrs, ""))
	}
	return b.String()
}

// PeeringRemoveRequest removes peers.
type PeeringRemoveRequest struct {
	Peers []string `arg:"ID"`
}

// Text is one line a peer.
func (PeeringRemoveRequest) Text(p Peered) string {
	return display.Sprintf("remove %s %s\n", p.ID, p.Status)
}
