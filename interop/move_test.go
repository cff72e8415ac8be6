package interop

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A moving repo has these keys, each with a published name, and self.
var movingKeys = []struct{ label, kind string }{{"ed", "ed25519"}, {"old", "rsa"}, {"curve", "secp256k1"}, {"second", "ed25519"}}

// movingPins is how many files are pinned in it.
const movingPins = 2000

// newMovingRepo is a Kubo repo of the profile server and more, in which a node has lived
// without a network: the last of its names has the sequence 1.
func newMovingRepo(t *testing.T, profiles string) (k *node, names map[string]string) {
	t.Helper()
	k = &node{t: t, prog: kubo, bin: kubo.binary(t), repo: filepath.Join(t.TempDir(), "kubo"), name: "ipfs-moving"}
	k.run("init", "--profile", profiles)
	names = map[string]string{"self": k.line("id", "--peerid-base=base36", "-f", "<id>")}
	for _, key := range movingKeys {
		names[key.label] = k.line("key", "gen", "--type", key.kind, key.label)
	}
	root := add(k, site(t, "moving"))
	for label := range names {
		k.run("name", "publish", "--allow-offline", "--resolve=false", "--key="+label, "/ipfs/bafkqaaa")
		k.run("name", "publish", "--allow-offline", "--key="+label, "/ipfs/"+root)
	}
	return k, names
}

// pinFiles adds files one by one, each with its pin.
func pinFiles(t *testing.T, k *node, n int) {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for i := range n {
		files = append(files, filepath.Join(dir, fmt.Sprintf("%d.txt", i)))
		mustDo(t, os.WriteFile(files[i], fmt.Appendf(nil, "file %d", i), 0o644))
	}
	for part := range slices.Chunk(files, 500) {
		k.run(append([]string{"add", "--quiet"}, part...)...)
	}
	k.run("pin", "add", "--name", "a name", "bafkqaaa")
	k.run("pin", "add", "--recursive=false", k.line("add", "-Q", "--pin=false", files[0]+"", "--chunker=size-3"))
}

// digest covers names, modes, times and bytes of all below a folder.
func digest(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	mustDo(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(sum, path, info.Mode(), info.ModTime())
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		sum.Write(b)
		return err
	}))
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// ownPins are the recursive and direct pins of a node, with their names, sorted.
func ownPins(n *node) []string {
	n.t.Helper()
	var pins []string
	for _, kind := range []string{"recursive", "direct"} {
		pins = append(pins, strings.Split(strings.TrimSpace(n.run("pin", "ls", "--names", "--type", kind)), "\n")...)
	}
	slices.Sort(pins)
	return pins
}

// TestKuboMovesToOursAndBack moves a Kubo repo with one command. Its names go on with the
// next sequence, above what the network has; and back in Kubo they go on again.
func TestKuboMovesToOursAndBack(t *testing.T) {
	t.Parallel()
	k, names := newMovingRepo(t, "server")
	pinFiles(t, k, movingPins)
	pins := ownPins(k)
	if len(pins) < movingPins {
		t.Fatalf("%d pins", len(pins))
	}
	before := digest(t, k.repo)

	us := &node{t: t, prog: ours, bin: ours.binary(t), repo: filepath.Join(t.TempDir(), "repo"), name: "ipns"}
	out := us.run("init", "--from-kubo", k.repo, "--pins")
	if digest(t, k.repo) != before {
		t.Error("the Kubo repo has changed")
	}
	for label, name := range names {
		if want := name + " " + label + ": sequence 1, until "; !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if got := ownPins(us); !slices.Equal(got, pins) {
		t.Errorf("%d pins moved, or others than the %d there were", len(got), len(pins))
	}
	if got := us.run("cat", "/ipfs/"+strings.Fields(pins[0])[0]); got == "" {
		t.Error("a pinned file is empty")
	}
	us.run("pin", "ls") // reads all trees
	if got := us.line("config", "Swarm.DisableNatPortMap"); got != "true" {
		t.Errorf("of the profile server, DisableNatPortMap is %s", got)
	}

	// In the meantime someone else has published with one of the keys.
	kubos := startKubos(t, 2)
	file := filepath.Join(t.TempDir(), "ed.key")
	k.run("key", "export", "--output", file, "ed")
	kubos[0].run("key", "import", "ed", file)
	for _, text := range []string{"one", "two", "three"} {
		publish(kubos[0], add(kubos[0], site(t, text)), "--key", "ed")
	}

	// The test's network is on loopback, from which the profile keeps away.
	for _, set := range [][]string{
		{"Swarm.AddrFilters", "[]"},
		{"Addresses.NoAnnounce", "[]"},
		{"Bootstrap", "[]"},
		{"Addresses.Swarm", `["/ip4/127.0.0.1/tcp/0"]`},
		{"Addresses.API", `"/ip4/127.0.0.1/tcp/0"`},
		{"Addresses.Gateway", `"/ip4/127.0.0.1/tcp/0"`},
		{"Routing.LoopbackAddressesOnLanDHT", "true"},
		{"Routing.DelegatedRouters", "[]"},
		{"Ipns.DelegatedPublishers", "[]"},
	} {
		us.run("config", "--json", set[0], set[1])
	}
	us.start()
	join(us, kubos...)
	root := add(us, site(t, "moved"))
	for label, name := range names {
		want := uint64(2)
		if label == "ed" {
			want = 3
		}
		publish(us, root, "--key", label).wantReceipt(t, want, 2, 2)
		resolves(kubos[1], name, "/ipfs/"+root)
	}
	us.stop()

	// Back, into the repo of a Kubo that is new, and which becomes that node.
	back := newNode(t, kubo, "ipfs-back")
	us.run("export", "--to-kubo", back.repo)
	if got := back.line("id", "--peerid-base=base36", "-f", "<id>"); got != names["self"] {
		t.Errorf("the Kubo is %s, want %s", got, names["self"])
	}
	if a, b := back.run("key", "list", "-l"), k.run("key", "list", "-l"); a != b {
		t.Errorf("its keys are\n%swant\n%s", a, b)
	}
	for label := range names {
		back.run("name", "publish", "--allow-offline", "--resolve=false", "--key="+label, "/ipfs/bafkqabtimvwgy3yk")
	}
	back.start()
	for label, name := range names {
		want := uint64(3)
		if label == "ed" {
			want = 4
		}
		if got, ok := holds(back, name); !ok || got != want {
			t.Errorf("Kubo goes on with %s at %d, %v; want %d", label, got, ok, want)
		}
	}
}

// TestKuboOnPebbleMovesToOursAndBack is the same with everything in Pebble, and into the
// Kubo repo that it came from.
func TestKuboOnPebbleMovesToOursAndBack(t *testing.T) {
	t.Parallel()
	k, names := newMovingRepo(t, "test,pebbleds")
	pinFiles(t, k, 20)
	before := digest(t, k.repo)
	us := &node{t: t, prog: ours, bin: ours.binary(t), repo: filepath.Join(t.TempDir(), "repo"), name: "ipns"}
	us.run("init", "--from-kubo="+k.repo, "--pins")
	if digest(t, k.repo) != before {
		t.Error("the Kubo repo has changed")
	}
	if got, want := ownPins(us), ownPins(k); !slices.Equal(got, want) {
		t.Errorf("pins %q, want %q", got, want)
	}
	for label := range names {
		us.run("name", "publish", "--allow-offline", "--force", "--resolve=false", "--key="+label, "/ipfs/bafkqabtimvwgy3yk")
	}
	us.run("export", "--to-kubo", k.repo)
	for label := range names {
		k.run("name", "publish", "--allow-offline", "--resolve=false", "--key="+label, "/ipfs/bafkqaaa")
	}
	k.start()
	for label, name := range names {
		if got, ok := holds(k, name); !ok || got != 3 {
			t.Errorf("Kubo goes on with %s at %d, %v; want 3", label, got, ok)
		}
	}
}

// TestTheGuideFromKuboIsTypedWithItsRepo has the test that types docs/guides/from-kubo.md do so with
// repos that Kubo has made.
func TestTheGuideFromKuboIsTypedWithItsRepo(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "test", "./cmd/ipns", "-count=1", "-v", "-run", "^TestTheMoveFromKuboIsAsItsPageSays$", "-kubo", kubo.binary(t))
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\n--- PASS: TestTheMoveFromKuboIsAsItsPageSays") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestRunningKuboDoesNotMove leaves a Kubo alone that runs.
func TestRunningKuboDoesNotMove(t *testing.T) {
	t.Parallel()
	k := startKubos(t, 1)[0]
	us := &node{t: t, prog: ours, bin: ours.binary(t), repo: filepath.Join(t.TempDir(), "repo"), name: "ipns"}
	for _, args := range [][]string{{"init", "--from-kubo=" + k.repo}, {"init", "--from-kubo", k.repo, "--pins"}} {
		r := us.try(nil, args...)
		if r.code == 0 || !strings.Contains(r.stderr, "Kubo is running on it") {
			t.Errorf("%v: %d %s", args, r.code, r.stderr)
		}
	}
	if _, err := os.Stat(us.repo); err == nil {
		t.Error("a repo was made")
	}
	k.kill() // what is locked by nobody is free
	us.run("init", "--from-kubo="+k.repo)
}
