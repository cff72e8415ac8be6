package interop

import (
	"strings"
	"testing"
)

// overHTTP starts a daemon whose only road is an HTTP router: it has no DHT, and nobody
// connects to it.
func overHTTP(t *testing.T, prog *program, name, server string) *node {
	t.Helper()
	n := newNode(t, prog, name)
	n.run("config", "Routing.Type", "delegated")
	if prog == kubo { // it has no way to tell others of content then, and says so
		n.run("config", "--json", "Provide.Enabled", "false")
	}
	n.run("config", "--json", "Routing.DelegatedRouters", `["`+server+`"]`)
	n.run("config", "--json", "Ipns.DelegatedPublishers", `["`+server+`/routing/v1/ipns"]`)
	n.start()
	return n
}

// TestOverHTTPAlone lets Kubo, and ipns, publish and resolve with ipns as their only
// DelegatedRouters and DelegatedPublishers.
func TestOverHTTPAlone(t *testing.T) {
	kubos := startKubos(t, 2)
	us := relaying(t, kubos...)
	server := strings.TrimSuffix(us.gateway(), "/")
	theirs := publish(kubos[0], "/ipfs/bafkqaaa", "--resolve=false").Name
	for _, prog := range []*program{kubo, ours} {
		t.Run(prog.name, func(t *testing.T) {
			leaf := overHTTP(t, prog, prog.name+"-leaf", server)
			for i, value := range []string{"/ipfs/bafkqaaa", "/ipfs/bafkqabdbmfrgg"} {
				var args []string
				if i == 1 {
					args = append(args, "--allow-delegated")
				}
				name := publish(leaf, value, append(args, "--resolve=false")...).Name
				for _, n := range []*node{us, kubos[0], kubos[1]} {
					if got := n.line("name", "resolve", "--nocache", name); got != value {
						t.Errorf("%s resolves it to %s, want %s", n.name, got, value)
					}
				}
			}
			if got := leaf.line("name", "resolve", theirs); got != "/ipfs/bafkqaaa" {
				t.Errorf("a name of the DHT resolves to %s", got)
			}
		})
	}
}
