package interop

import (
	"path/filepath"
	"testing"
)

// TestKuboDrivesOurs uses Kubo's own command line as the client of our RPC API.
func TestKuboDrivesOurs(t *testing.T) {
	kubos := startKubos(t, 2)
	us := startOurs(t, kubos...)
	us.run("swarm", "peers")
	client := clientOf(us)

	if got, want := client.peerID(), us.peerID(); got != want {
		t.Errorf("id: %s, want %s", got, want)
	}
	dir := site(t, "over RPC")
	root := add(client, dir)
	if want := kubos[0].line("add", "-r", "-Q", "-n", "--cid-version", "1", dir); root != want {
		t.Errorf("add: %s, want %s", root, want)
	}
	client.run("add", filepath.Join(dir, "index.html"))
	client.run("pin", "add", root)
	name := key(client, "site")
	if got, want := client.line("name", "publish", "--key", "site", "/ipfs/"+root), "Published to "+name+": /ipfs/"+root; got != want {
		t.Errorf("publish prints %q, want %q", got, want)
	}
	if got := client.line("name", "publish", "--key", "site", "-Q", root); got != name {
		t.Errorf("publish -Q prints %q, want %q", got, name)
	}
	resolves(client, name, "/ipfs/"+root)
	reads(client, name, dir)
	resolves(kubos[0], name, "/ipfs/"+root)
	i := inspect(client, name, client.run("name", "get", name))
	if !i.Validation.Valid || i.Entry.Value != "/ipfs/"+root {
		t.Errorf("name get and name inspect say %+v", i)
	}
	client.run("swarm", "addrs")
	client.run("version")

	// What Kubo published, asked of us by Kubo's client.
	other := add(kubos[1], site(t, "by Kubo"))
	resolves(client, publish(kubos[1], other).Name, "/ipfs/"+other)
}

// clientOf returns Kubo's command line with n's daemon at the other end.
func clientOf(n *node) *node {
	n.t.Helper()
	return &node{
		t: n.t, prog: kubo, bin: kubo.binary(n.t), repo: n.repo, dir: n.dir,
		name: "ipfs-at-" + n.name, flags: []string{"--api", n.rpcAddr()},
	}
}
