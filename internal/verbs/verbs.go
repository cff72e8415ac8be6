// Package verbs is what each command of package api does on a node. It holds no
// logic of its own: it reads the request, calls the parts of the node, and puts
// what they say into Kubo's words.
package verbs

import (
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// verbs are the commands of one node.
type verbs struct{ *node.Node }

// Mux returns all commands as they act on a node; those that need none also act
// on a nil one.
func Mux(n *node.Node) *rpc.Mux {
	v := &verbs{n}
	m := &rpc.Mux{Offline: n != nil && n.Host == nil}
	v.handleNames(m)
	v.handlePubsub(m)
	v.handleRepublish(m)
	v.handleRouting(m)
	v.handleKeys(m)
	v.handleContent(m)
	v.handlePins(m)
	v.handleSwarm(m)
	v.handleNode(m)
	v.handleBootstrap(m)
	v.handleRepo(m)
	return m
}
