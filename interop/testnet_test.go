package interop

import (
	"regexp"
	"testing"
)

var joinLine = regexp.MustCompile(`ipfs swarm connect (/\S+)`)

// TestTestnet joins a private network of our DHT servers, with Kubo and with ipns.
func TestTestnet(t *testing.T) {
	network, addr := startTestnet(t, 30)
	kubos := startKubos(t, 3)
	for _, k := range kubos {
		k.run("swarm", "connect", addr)
	}
	us := newNode(t, ours, "ipns")
	us.start("--bootstrap", addr)

	dir := site(t, "on the testnet")
	root := add(us, dir)
	got := publish(us, root, "--wait=all")
	if got.Announced == nil || got.Of == nil || *got.Announced < 15 || *got.Of != 20 {
		t.Errorf("receipt: %s; want announced to at least 15 of 20", got.receipt())
	}
	for _, k := range kubos {
		resolves(k, got.Name, "/ipfs/"+root)
		reads(k, got.Name, dir)
	}
	// Asked from outside, the closest servers have it, and Kubo's gateway too.
	us.run("name", "check", "--bootstrap", addr, "--gateway", kubos[0].gateway(), got.Name)

	dir = site(t, "by Kubo on the testnet")
	root = add(kubos[0], dir)
	name := publish(kubos[0], root).Name
	resolves(us, name, "/ipfs/"+root)
	reads(us, name, dir)
	network.stop()
}
