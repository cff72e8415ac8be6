package interop

import (
	"os"
	"path/filepath"
	"testing"
)

// TestKuboToKubo proves the harness: what is asserted of ipns elsewhere holds
// here among Kubo daemons alone.
func TestKuboToKubo(t *testing.T) {
	nodes := startKubos(t, 3)
	dir := site(t, "hello from Kubo")
	front, err := os.ReadFile(filepath.Join(dir, "index.html"))
	mustDo(t, err)

	root := nodes[0].line("add", "-r", "-Q", "--cid-version", "1", dir)
	name := publish(nodes[0], root).Name
	for _, n := range nodes[1:] {
		if got := n.line("name", "resolve", "--nocache", name); got != "/ipfs/"+root {
			t.Errorf("%s resolves %s to %q, want %q", n.name, name, got, "/ipfs/"+root)
		}
		if got := n.run("cat", "/ipns/"+name+"/index.html"); got != string(front) {
			t.Errorf("%s: front page %q, want %q", n.name, got, front)
		}
	}
}

// A published is what name publish prints as JSON. The second line are the
// fields of the receipt that ipns adds to Kubo's.
type published struct {
	Name, Value                     string
	Sequence, Stored, Announced, Of *int
}

func publish(n *node, value string, flags ...string) published {
	n.t.Helper()
	var p published
	n.query(&p, append([]string{"name", "publish", value}, flags...)...)
	return p
}
