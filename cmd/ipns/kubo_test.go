package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/kubo/kubotest"
)

// newKuboRepo is a Kubo repo with the key blog, whose record has the sequence 41, and with
// pins of so many trees.
func newKuboRepo(trees int) (r kubotest.Repo, err error) {
	if r.Self, err = ipns.GenerateKey(ipns.Ed25519, 0); err != nil {
		return r, err
	}
	blog, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		return r, err
	}
	fields := ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 41, EOL: time.Now().Add(48 * time.Hour), TTL: time.Minute}
	rec, err := ipns.Sign(context.Background(), ipns.NewSigner(blog), fields, ipns.V1V2)
	if err != nil {
		return r, err
	}
	r.Keys, r.Records = map[string]crypto.PrivKey{"blog": blog}, []*ipns.Record{rec}
	r.Config = map[string]any{
		"Addresses": map[string]any{"API": "/ip4/127.0.0.1/tcp/0", "Gateway": "/ip4/127.0.0.1/tcp/0", "Swarm": []string{"/ip4/127.0.0.1/tcp/0"}},
		"Mounts":    map[string]any{"IPFS": "/ipfs"},
	}
	for i := range trees {
		leaves := []blocks.Block{kubotest.Raw(fmt.Sprintf("%d a", i)), kubotest.Raw(fmt.Sprintf("%d b", i))}
		root := kubotest.Tree(leaves...)
		r.Blocks = append(append(r.Blocks, leaves...), root)
		r.Pins = append(r.Pins, kubotest.Pin{CID: root.Cid(), Name: fmt.Sprintf("tree-%d", i)})
	}
	return r, nil
}

// realKubo makes the repos that are to be moved by scripts, if it is given.
var realKubo = flag.String("kubo", "", "the program of Kubo that makes the repos which are moved; else this test makes them")

func kuboRepo(ts *testscript.TestScript, _ bool, args []string) {
	if *realKubo != "" {
		ts.Check(realKuboRepo(*realKubo, ts.MkAbs(args[0]), len(args) > 1 && args[1] == "new"))
		return
	}
	r, err := newKuboRepo(2)
	ts.Check(err)
	if len(args) > 1 && args[1] == "new" {
		r = kubotest.Repo{Self: r.Self}
	}
	ts.Check(kubotest.Make(ts.MkAbs(args[0]), r))
}

// realKuboRepo has Kubo make a repo in dir, with what newKuboRepo has unless it is to be new.
func realKuboRepo(program, dir string, empty bool) error {
	steps := [][]string{
		{"init", "--profile=test", "--empty-repo"},
		{"config", "--json", "Addresses.Swarm", `["/ip4/127.0.0.1/tcp/0"]`},
	}
	if !empty {
		steps = append(steps, []string{"key", "gen", "blog"},
			[]string{"name", "publish", "--allow-offline", "--resolve=false", "--sequence=41", "--key=blog", "/ipfs/bafkqaaa"})
		for i := range 2 {
			tree := filepath.Join(dir, "..", fmt.Sprintf("tree-%d", i))
			if err := os.MkdirAll(tree, 0o755); err != nil {
				return err
			}
			for _, leaf := range []string{"a", "b"} {
				if err := os.WriteFile(filepath.Join(tree, leaf), fmt.Appendf(nil, "%d %s", i, leaf), 0o644); err != nil {
					return err
				}
			}
			steps = append(steps, []string{"add", "-rQ", "--cid-version=1", fmt.Sprintf("--pin-name=tree-%d", i), tree})
		}
	}
	for _, args := range steps {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "IPFS_PATH="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	return nil
}

// TestAKilledMoveGoesOnWhereItStopped kills init --from-kubo at many points.
func TestAKilledMoveGoesOnWhereItStopped(t *testing.T) {
	t.Parallel() // it waits for other processes
	const trees = 400
	r, err := newKuboRepo(trees)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := kubotest.Make(filepath.Join(dir, "kubo"), r); err != nil {
		t.Fatal(err)
	}
	bin, err := exec.LookPath("ipns")
	if err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, bin, append([]string{"--repo-dir", filepath.Join(dir, "repo")}, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	move := []string{"init", "--from-kubo=" + filepath.Join(dir, "kubo"), "--pins"}
	killed := 0
	for wait := 20 * time.Millisecond; wait < 400*time.Millisecond; wait += 20 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), wait) // its end kills the process
		if _, err := run(ctx, move...); err != nil {
			killed++
		}
		cancel()
	}
	if killed == 0 {
		t.Error("it was never killed")
	}
	out, err := run(t.Context(), move...)
	if err != nil || !strings.Contains(out, fmt.Sprintf("copied %d pins", trees)) {
		t.Fatalf("moved at last: %v\n%s", err, out)
	}
	pins, err := run(t.Context(), "pin", "ls", "--type=recursive", "--quiet")
	if err != nil || len(strings.Fields(pins)) != trees {
		t.Errorf("%d pins, %v", len(strings.Fields(pins)), err)
	}
	for _, p := range r.Pins {
		if !strings.Contains(pins, p.CID.String()) {
			t.Fatalf("pin %s is missing", p.CID)
		}
	}
	// All below each pin is here, too.
	if all, err := run(t.Context(), "pin", "ls", "--quiet"); err != nil || len(strings.Fields(all)) != 3*trees {
		t.Errorf("%d blocks are pinned, %v; want %d", len(strings.Fields(all)), err, 3*trees)
	}
	if out, err := run(t.Context(), "name", "inspect", "blog"); err == nil && !strings.Contains(out, "41") {
		t.Errorf("the record: %s", out)
	}
}
