package interop

import (
	"strings"
	"testing"
)

// TestStrangers has two nodes that were never told of each other: a Kubo daemon
// between them is all they share. Name and content are found by way of the DHT.
func TestStrangers(t *testing.T) {
	for _, way := range []struct {
		name     string
		from, to *program
	}{{"ipns to ipfs", ours, kubo}, {"ipfs to ipns", kubo, ours}} {
		t.Run(way.name, func(t *testing.T) {
			middle := startKubos(t, 1)[0]
			from, to := newNode(t, way.from, way.from.name), newNode(t, way.to, way.to.name)
			from.start()
			to.start()
			join(from, middle)

			dir := site(t, "from a stranger")
			root := add(from, dir)
			name := publish(from, root).Name
			provider := from.peerID()
			eventually(t, provider+" is known as a provider of "+root, func() bool {
				return strings.Contains(middle.run("routing", "findprovs", root), provider)
			})

			join(to, middle)
			resolves(to, name, "/ipfs/"+root)
			reads(to, name, dir)
		})
	}
}
