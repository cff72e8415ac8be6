package api

import (
	"slices"

	"github.com/goipns/ipns/rpc"
)

// bootstrapCommands are the commands of this file.
var bootstrapCommands = []rpc.Spec{Bootstrap, BootstrapList, BootstrapAdd, BootstrapAddDefault, BootstrapRm, BootstrapRmAll}

var (
	// Bootstrap: list the peers through which this node joins the network.
	Bootstrap = rpc.Command[BootstrapListRequest, BootstrapPeers]{
		Info: rpc.Info{
			Path:     "bootstrap",
			Short:    "List and change the peers through which this node joins the network",
			Examples: []string{`ipns bootstrap`},
		},
		Text: BootstrapListRequest.Text,
	}
	// BootstrapList: list the peers through which this node joins the network.
	BootstrapList = rpc.Command[BootstrapListRequest, BootstrapPeers]{
		Info: rpc.Info{
			Path:     "bootstrap/list",
			Short:    "List the peers through which this node joins the network",
			Examples: []string{`ipns bootstrap list`, `ipns bootstrap list --expand-auto`},
		},
		Text: BootstrapListRequest.Text,
	}
	// BootstrapAdd: add bootstrap peers.
	BootstrapAdd = rpc.Command[BootstrapAddRequest, BootstrapPeers]{
		Info: rpc.Info{
			Path: "bootstrap/add", Args: "[<peer>...]",
			Short:    "Add bootstrap peers",
			Examples: []string{`ipns bootstrap add $PEER`, `ipns bootstrap add --default`},
		},
		Text: BootstrapAddRequest.Text,
	}
	// BootstrapAddDefault: add the bootstrap peers of the public network.
	BootstrapAddDefault = rpc.Command[BootstrapAddRequest, BootstrapPeers]{
		Info: rpc.Info{
			Path:     "bootstrap/add/default",
			Short:    "Add the bootstrap peers of the public network",
			Examples: []string{`ipns bootstrap add default`},
		},
		Text: BootstrapAddRequest.Text,
	}
	// BootstrapRm: remove bootstrap peers.
	BootstrapRm = rpc.Command[BootstrapRemoveRequest, BootstrapPeers]{
		Info: rpc.Info{
			Path: "bootstrap/rm", Args: "[<peer>...]",
			Short:    "Remove bootstrap peers",
			Examples: []string{`ipns bootstrap rm $PEER`, `ipns bootstrap rm --all`},
		},
		Text: BootstrapRemoveRequest.Text,
	}
	// BootstrapRmAll: remove all bootstrap peers.
	BootstrapRmAll = rpc.Command[BootstrapRemoveRequest, BootstrapPeers]{
		Info: rpc.Info{
			Path:     "bootstrap/rm/all",
			Short:    "Remove all bootstrap peers",
			Examples: []string{`ipns bootstrap rm all`},
		},
		Text: BootstrapRemoveRequest.Text,
	}
)

// BootstrapListRequest lists the bootstrap peers.
type BootstrapListRequest struct {
	ExpandAuto bool `opt:"expand-auto" help:"print the peers that auto stands for"`
}

// BootstrapPeers are bootstrap peers: multiaddrs with a peer id, or auto for those of
// the public network.
type BootstrapPeers struct{ Peers []string }

// Text is one peer per line.
func (BootstrapListRequest) Text(p BootstrapPeers) string {
	return lines("", slices.Sorted(slices.Values(p.Peers)), "")
}

// BootstrapAddRequest adds bootstrap peers.
type BootstrapAddRequest struct {
	Peers   []string `arg:"peer,optional,stdin"`
	Default bool     `opt:"default" help:"add the bootstrap peers of the public network"`
}

// Text is one line per new peer.
func (BootstrapAddRequest) Text(p BootstrapPeers) string {
	return lines("added ", slices.Sorted(slices.Values(p.Peers)), "")
}

// BootstrapRemoveRequest removes bootstrap peers.
type BootstrapRemoveRequest struct {
	Peers []string `arg:"peer,optional,stdin"`
	All   bool     `opt:"all" help:"remove all, which also tells the node that it needs no network"`
}

// Text is one line per removed peer.
func (BootstrapRemoveRequest) Text(p BootstrapPeers) string {
	return lines("removed ", slices.Sorted(slices.Values(p.Peers)), "")
}
