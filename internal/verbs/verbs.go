// Package verbs implements the commands of package api on a node. It has no logic of its
// own: each verb reads the request, calls the parts of the node, and returns the results
// in Kubo's format.
package verbs

import (
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// verbs are the commands of one node.
type verbs struct{ *node.Node }

// Mux returns all commands for a node. Those that need no node also work with a nil one.
func Mux(n *node.Node) *rpc.Mux {
	v := &verbs{n}
	m := &rpc.Mux{Offline: n != nil && n.Host == nil, Instead: api.Instead, Explain: ofStore}
	v.handleNames(m)
	v.handleWatch(m)
	v.handleWebhooks(m)
	v.handleFollows(m)
	v.handlePubsub(m)
	v.handleRepublish(m)
	v.handleCluster(m)
	v.handleRouting(m)
	v.handleKeys(m)
	v.handleHost(m)
	v.handleContent(m)
	v.handleLists(m)
	v.handleRefs(m)
	v.handlePins(m)
	v.handleRemotePins(m)
	v.handleBlocks(m)
	v.handleDAG(m)
	v.handleCIDs(m)
	v.handleMultibase(m)
	v.handleSwarm(m)
	v.handleNode(m)
	v.handleConfig(m)
	v.handleDiag(m)
	v.handleBootstrap(m)
	v.handleRepo(m)
	v.handleStore(m)
	v.handleStats(m)
	v.handleProvide(m)
	return m
}
