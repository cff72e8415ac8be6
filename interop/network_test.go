package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// settleTimeout is how long the routing tables of a handful of connected nodes may take to fill.
const settleTimeout = 2 * time.Minute

// startKubos starts n Kubo daemons that are connected to each other and know each other in their LAN DHT.
func startKubos(t *testing.T, n int) []*node {
	t.Helper()
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = newNode(t, kubo, fmt.Sprintf("ipfs-%d", i+1))
	}
	for _, k := range nodes {
		k.start()
	}
	for i, k := range nodes {
		connect(k, nodes[:i]...)
	}
	settle(nodes...)
	return nodes
}

// startOurs starts an ipns daemon that is connected to the given Kubo daemons.
func startOurs(t *testing.T, kubos ...*node) *node {
	t.Helper()
	n := newNode(t, ours, "ipns")
	n.start()
	join(n, kubos...)
	return n
}

// join connects a daemon to others and waits until they all know it.
func join(n *node, others ...*node) {
	n.t.Helper()
	connect(n, others...)
	settle(append(slices.Clip(others), n)...)
}

// connect makes n dial the others.
func connect(n *node, others ...*node) {
	n.t.Helper()
	for _, o := range others {
		n.run("swarm", "connect", o.addr())
	}
}

// settle waits until every Kubo among the nodes has all the others in the routing
// table of its LAN DHT, and every ipns is connected to all the others. Until then
// a publish reaches fewer of them.
func settle(nodes ...*node) {
	t := nodes[0].t
	t.Helper()
	ids := make([]string, len(nodes))
	for i, n := range nodes {
		ids[i] = n.peerID()
	}
	for i, n := range nodes {
		args := []string{"stats", "dht", "lan"}
		if n.prog == ours {
			args = []string{"swarm", "peers"}
		}
		deadline := time.Now().Add(settleTimeout)
		for {
			known := n.run(args...)
			missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == ids[i] || strings.Contains(known, id) })
			if len(missing) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not know %q after %v:\n%s", n.name, missing, settleTimeout, known)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}
