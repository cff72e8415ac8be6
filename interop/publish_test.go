package interop

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestKuboToKubo proves the harness: what is asserted of ipns elsewhere holds
// here among Kubo daemons alone.
func TestKuboToKubo(t *testing.T) {
	nodes := startKubos(t, 3)
	dir := site(t, "hello from Kubo")
	root := add(nodes[0], dir)
	name := publish(nodes[0], root).Name
	for _, n := range nodes[1:] {
		resolves(n, name, "/ipfs/"+root)
		reads(n, name, dir)
	}
}

func TestOursToKubo(t *testing.T) {
	kubos := startKubos(t, 3)
	us := startOurs(t, kubos...)
	dir := site(t, "hello from ipns")
	root := add(us, dir)
	got := publish(us, root)
	if got.Value != "/ipfs/"+root {
		t.Errorf("published %q, want %q", got.Value, "/ipfs/"+root)
	}
	got.wantReceipt(t, 0, 3, 3)
	for _, k := range kubos {
		resolves(k, got.Name, "/ipfs/"+root)
		reads(k, got.Name, dir)
		if at, ok := holds(k, got.Name); !ok || at != 0 {
			t.Errorf("%s holds the record: %v, sequence %d; the receipt says that all do, at 0", k.name, ok, at)
		}
	}
}

func TestKuboToOurs(t *testing.T) {
	kubos := startKubos(t, 3)
	us := startOurs(t, kubos...)
	dir := site(t, "hello from Kubo")
	big := bytesOf(10 << 20)
	mustDo(t, os.WriteFile(filepath.Join(dir, "big.bin"), big, 0o644))
	root := add(kubos[0], dir)
	name := publish(kubos[0], root).Name
	resolves(us, name, "/ipfs/"+root)
	reads(us, name, dir)
	if us.run("cat", "/ipns/"+name+"/big.bin") != string(big) {
		t.Errorf("10 MiB fetched from Kubo differ from those added there")
	}

	// A name that has not been resolved yet, first asked for by way of the gateway.
	name = publish(kubos[1], root, "--key", strings.TrimSpace(key(kubos[1], "site"))).Name
	serves(us, name, dir)
}

// TestUpdate publishes twice. The second value has to be there at once on every
// door of the node itself, whatever the TTL of the first.
func TestUpdate(t *testing.T) {
	kubos := startKubos(t, 3)
	us := startOurs(t, kubos...)
	first, second := site(t, "first"), site(t, "second")

	name := publish(us, add(us, first), "--ttl", "1h").Name
	resolves(us, name, "/ipfs/"+add(us, first))
	serves(us, name, first)
	reads(us, name, first)

	root := add(us, second)
	publish(us, root).wantReceipt(t, 1, 3, 3)
	if got := us.line("name", "resolve", name); got != "/ipfs/"+root {
		t.Errorf("ipns resolves its own name to %q after the update, want %q", got, "/ipfs/"+root)
	}
	serves(us, name, second)
	reads(us, name, second)
	for _, k := range kubos {
		resolves(k, name, "/ipfs/"+root)
		reads(k, name, second)
	}

	// The same value again is the same sequence.
	publish(us, root).wantReceipt(t, 1, 3, 3)
}

// TestReceiptOfHungPeer publishes while one of three Kubo daemons is stopped by a
// signal: it accepts connections and never answers. The receipt must not count it.
func TestReceiptOfHungPeer(t *testing.T) {
	t.Parallel() // it mostly waits
	kubos := startKubos(t, 3)
	us := startOurs(t, kubos...)
	root := add(us, site(t, "two of three"))

	hung := kubos[2].daemon.cmd.Process
	mustDo(t, hung.Signal(syscall.SIGSTOP))
	defer hung.Signal(syscall.SIGCONT)
	got := publish(us, root)

	if got.Announced == nil || *got.Announced != 2 {
		t.Errorf("receipt: %s; want announced to 2: the third does not answer", got.receipt())
	}
	for _, k := range kubos[:2] {
		if _, ok := holds(k, got.Name); !ok {
			t.Errorf("%s does not hold the record, the receipt says it does", k.name)
		}
	}
}

// TestReceiptWithoutNetwork publishes with nobody there: stored is all that can be said.
func TestReceiptWithoutNetwork(t *testing.T) {
	t.Parallel() // it mostly waits
	us := newNode(t, ours, "ipns")
	us.start()
	root := add(us, site(t, "alone"))
	r := us.try(nil, "name", "publish", root)
	if r.code != 0 || !strings.Contains(r.stderr, "this node is on no network") {
		t.Errorf("exit code %d after a publish on a node that is on no network, want 0 and a warning\n%s%s", r.code, r.stdout, r.stderr)
	}
	publish(us, root, "--allow-offline").wantReceipt(t, 0, 0, 0)
	if got := us.line("name", "resolve"); got != "/ipfs/"+root {
		t.Errorf("own name resolves to %q, want %q", got, "/ipfs/"+root)
	}

	// Whoever comes later learns of it: the daemon announces by itself.
	kubos := startKubos(t, 1)
	join(us, kubos...)
	name := us.line("key", "list", "-l")
	name, _, _ = strings.Cut(name, " ")
	eventually(t, "Kubo holds the record published before it came", func() bool {
		_, ok := holds(kubos[0], name)
		return ok
	})
}

// resolves fails the test unless n resolves name to want, caches aside.
func resolves(n *node, name, want string) {
	n.t.Helper()
	if got := n.line("name", "resolve", "--nocache", name); got != want {
		n.t.Errorf("%s resolves %s to %q, want %q", n.name, name, got, want)
	}
}

// reads fails the test unless n finds the front page of dir under name.
func reads(n *node, name, dir string) {
	n.t.Helper()
	if got, want := n.run("cat", "/ipns/"+name+"/index.html"), frontPage(n.t, dir); got != want {
		n.t.Errorf("%s reads the front page %q, want %q", n.name, got, want)
	}
}

// serves fails the test unless the gateway of n serves the front page of dir under name.
func serves(n *node, name, dir string) {
	n.t.Helper()
	body, resp := n.get("/ipns/" + name + "/index.html")
	if want := frontPage(n.t, dir); resp.StatusCode != http.StatusOK || body != want {
		n.t.Errorf("gateway of %s: %s %q, want the front page %q", n.name, resp.Status, body, want)
	}
}
