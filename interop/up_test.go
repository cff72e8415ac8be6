package interop

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var uriLine = regexp.MustCompile(`ipns://(k51\w{59})`)

// TestUp puts a folder up by way of the running daemon, changes it, puts it up
// again, and lets Kubo look each time.
func TestUp(t *testing.T) {
	kubos := startKubos(t, 2)
	us := startOurs(t, kubos...)
	dir := site(t, "first")
	var names []string
	for sequence, text := range []string{"first", "second"} {
		mustDo(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte(text), 0o644))
		for range 2 { // unchanged the second time: no new sequence
			name := upName(t, us.run("up", dir))
			names = append(names, name)
			for _, k := range kubos {
				resolves(k, name, us.line("name", "resolve", name))
			}
			reads(kubos[sequence], name, dir) // the other may answer from its cache
			if at, ok := holds(kubos[0], name); !ok || at != uint64(sequence) {
				t.Errorf("Kubo holds sequence %d (%v), want %d", at, ok, sequence)
			}
		}
	}
	for _, name := range names {
		if name != names[0] {
			t.Errorf("names %q, want one", names)
		}
	}
}

// TestUpStays puts a folder up without a daemon: the command itself is the node.
func TestUpStays(t *testing.T) {
	dir := site(t, "served by up itself")
	us := newNode(t, ours, "ipns")
	us.launch([]string{"up", dir}, "ipns://k51")
	name := upName(t, us.daemon.log.String())
	serves(us, name, dir)

	// Nobody was there when it began; it announces to who comes.
	kubos := startKubos(t, 1)
	join(us, kubos...)
	eventually(t, "Kubo holds "+name, func() bool {
		_, ok := holds(kubos[0], name)
		return ok
	})
	reads(kubos[0], name, dir)
	us.stop()
}

func upName(t *testing.T, out string) string {
	t.Helper()
	m := uriLine.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("ipns up names no ipns:// URI:\n%s", out)
	}
	return m[1]
}
