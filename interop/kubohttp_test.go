package interop

import "testing"

// TestKuboOverOurHTTPAlone lets a Kubo publish and resolve that knows nobody but our HTTP
// API: it reaches the DHT, and other Kubo daemons, only by us.
func TestKuboOverOurHTTPAlone(t *testing.T) {
	kubos := startKubos(t, 2)
	us := relaying(t, kubos...)
	alone := newNode(t, kubo, "ipfs-alone")
	alone.run("config", "Routing.Type", "delegated")
	alone.run("config", "--json", "Provide.Enabled", "false") // which it demands
	alone.run("config", "--json", "Routing.DelegatedRouters", `["`+us.gateway()+`"]`)
	alone.run("config", "--json", "Ipns.DelegatedPublishers", `["`+us.gateway()+`/routing/v1/ipns"]`)
	alone.start()

	for i, value := range []string{"/ipfs/bafkqaaa", "/ipfs/bafkqabdbmfrgg"} {
		name := publish(alone, value, "--resolve=false", "--allow-delegated").Name
		arrived(t, name, uint64(i), value, us, kubos[0])
	}
	name := publish(kubos[1], "/ipfs/bafkqaaa", "--resolve=false").Name
	resolves(alone, name, "/ipfs/bafkqaaa")
}
