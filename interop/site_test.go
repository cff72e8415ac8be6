package interop

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// eventuallyTimeout bounds the wait for what a daemon does by itself.
const eventuallyTimeout = 3 * time.Minute

// writeTree writes files below a new directory and returns it. A path that ends
// in a slash is an empty directory.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if name[len(name)-1] == '/' {
			mustDo(t, os.MkdirAll(path, 0o755))
			continue
		}
		mustDo(t, os.MkdirAll(filepath.Dir(path), 0o755))
		mustDo(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

// site writes a small site whose front page holds the given text.
func site(t *testing.T, front string) string {
	t.Helper()
	return writeTree(t, map[string]string{
		"index.html":    "<!doctype html><title>site</title><p>" + front + "\n",
		"css/site.css":  "p { color: teal }\n",
		"posts/one.txt": "the first post\n",
	})
}

func frontPage(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "index.html"))
	mustDo(t, err)
	return string(b)
}

// bytesOf returns n bytes that do not repeat, the same in every run.
func bytesOf(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// add adds a directory and returns its CID.
func add(n *node, dir string) string {
	n.t.Helper()
	return n.line("add", "-r", "-Q", "--cid-version", "1", dir)
}

// key generates a key and returns its name.
func key(n *node, label string) string {
	n.t.Helper()
	return n.line("key", "gen", label)
}

// needs skips the test if the program has no such command.
func needs(n *node, command ...string) {
	n.t.Helper()
	typed := n.prog.name + " " + strings.Join(command, " ")
	if r := n.try(nil, append(command, "--help")...); r.code != 0 || !strings.Contains(r.stdout, typed) {
		n.t.Skipf("there is no command %q yet", typed)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(eventuallyTimeout); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", eventuallyTimeout, what)
		}
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
