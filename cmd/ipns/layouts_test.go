package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/migrate"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/verbs"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

var migrateKills = flag.Int("migrate-kills", 5, "how often TestKilledMigrationLosesNothing kills a migration")

// keptRepo extracts a repo of testdata/repos. Each was made by the program of its day by the
// same commands: a key blog, a folder of 10 blocks, pinned, and three publishes.
func keptRepo(t *testing.T, file string) repo.Repo {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := repo.Repo(t.TempDir())
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return r
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(string(r), filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := io.ReadAll(tr)
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

const keptRoot = "QmUcMrYq3vrWKo1EZ1pFkfGdnhTwbPatsdJJs9QTB71e7T"

// told returns what a repo has, as its commands say it: all keys, the past values of all
// names, pins, and the blocks, each read and compared with its CID.
func told(t *testing.T, r repo.Repo) (text string, note string) {
	t.Helper()
	ctx := t.Context()
	lock, err := r.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	n, err := node.New(ctx, r, node.Config{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	m := verbs.Mux(n)
	var b strings.Builder
	keys, err := rpc.Do(ctx, m, api.KeyLs, api.KeyListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys.Keys {
		past, err := rpc.Do(ctx, m, api.NameLog, api.LogRequest{Name: k.Id})
		if err != nil {
			t.Fatalf("the past of %s: %v", k.Name, err)
		}
		for _, e := range past.Entries {
			fmt.Fprintln(&b, k.Name, e.Sequence, e.Value)
		}
	}
	for p, err := range n.Content.Pins(ctx, "recursive") {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, "pin", p.CID)
	}
	blocks := 0
	for c, err := range n.Content.Blocks(ctx) {
		if err == nil {
			err = n.Content.CheckBlock(ctx, c)
		}
		if err != nil {
			t.Error(err)
		}
		blocks++
	}
	fmt.Fprintln(&b, "blocks", blocks)
	return b.String(), lock.Note()
}

// goBack makes a repo one of version 1.
func goBack(t *testing.T, r repo.Repo) {
	t.Helper()
	lock, err := r.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(migrate.Back(t.Context(), r, 1, func(int, int) {}), lock.Unlock()); err != nil {
		t.Fatal(err)
	}
}

// TestReposOfAllLayoutsOpen opens a repo of each layout that there was, and has all that is in
// it. Each goes back to version 1 and forward again.
func TestReposOfAllLayoutsOpen(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/repos/*.tar.gz")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d repos, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			r := keptRepo(t, file)
			before, err := r.Number()
			if err != nil {
				t.Fatal(err)
			}
			want := "blog 1 /ipfs/" + keptRoot + "\nblog 0 /ipfs/bafkqaaa\nself 0 /ipfs/" + keptRoot + "\npin " + keptRoot + "\nblocks 10\n"
			for _, step := range []struct {
				back bool
				from int // of which the repo is
			}{{false, before}, {false, repo.Version}, {true, repo.Version}, {false, 1}, {true, repo.Version}} {
				if step.back {
					goBack(t, r)
					if n, err := r.Number(); n != 1 || err != nil {
						t.Fatalf("it went back to %d, %v", n, err)
					}
					continue
				}
				got, note := told(t, r)
				if sorted(got) != sorted(want) {
					t.Errorf("it has\n%swant\n%s", got, want)
				}
				if changed := step.from != repo.Version; changed != strings.HasPrefix(note, fmt.Sprintf("the repo was of version %d,", step.from)) {
					t.Errorf("of version %d, it says %q", step.from, note)
				}
				if n, err := r.Number(); n != repo.Version || err != nil {
					t.Errorf("then it is of version %d, %v", n, err)
				}
			}
		})
	}
}

func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// filesOf returns all files of a folder with what is in them.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			all[path] = "folder"
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNewerRepoIsLeftAsItIs runs commands of every kind on a repo of a version to come. Each
// says so, and no byte in the folder changes.
func TestNewerRepoIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := filepath.Join(dir, "repo")
	run := func(args ...string) (string, error) {
		cmd := ipnsCommand(t, r, args...)
		cmd.Dir = dir
		cmd.Env = append(cmd.Env, "EDITOR=true", "IPNS_PASSPHRASE=")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	secret := filepath.Join(dir, "secret")
	for path, text := range map[string]string{secret: "a passphrase", filepath.Join(dir, "site/index.html"): "x"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "--profile=test"}, {"add", "-r", "site"}, {"backup", "--passphrase-file=secret", "names.age"}} {
		if out, err := run(args...); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	newer := fmt.Sprintf("%d\n", repo.Version+1)
	for path, text := range map[string]string{"version": newer, "api": "/ip4/127.0.0.1/tcp/9", "gateway": "http://127.0.0.1:9"} {
		if err := os.WriteFile(filepath.Join(r, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := filesOf(t, r)
	for _, line := range []string{
		"daemon", "daemon --offline", "daemon --init", "daemon --routing-only", "up site", "up --once site", "publish site",
		"add site/index.html", "id", "key gen blog", "key export blog", "key rotate -o old", "key encrypt --passphrase-file=secret", "key decrypt --passphrase-file=secret",
		"config Addresses.API", "config Ipns.RepublishPeriod 2h", "config edit", "config show", "name publish /ipfs/bafkqaaa", "repo gc",
		"repo verify --repair", "repo migrate", "repo migrate --to 1", "repo version", "store move --to=pebble", "backup --passphrase-file=secret more.age",
		"restore --replace --passphrase-file=secret names.age", "export --to-kubo kubo", "pin ls", "shutdown", "doctor", "init",
	} {
		out, err := run(strings.Fields(line)...)
		if err == nil {
			t.Errorf("ipns %s: %v\n%s", line, err, out)
		}
		if want := "written by a newer version of this program"; line != "init" && !strings.Contains(out, want) {
			t.Errorf("ipns %s does not say that it is newer:\n%s", line, out)
		}
		if after := filesOf(t, r); !maps.Equal(before, after) {
			t.Fatalf("ipns %s changed the repo", line)
		}
	}
}

// TestKilledMigrationLosesNothing kills a migration back to version 1 after so many changes
// of the database's files. Afterwards all is there, and the same command goes on.
func TestKilledMigrationLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := repo.Repo(filepath.Join(dir, "repo"))
	runIpns(t, string(r), "init", "--profile=test")
	for i := range 4 { // each is a pack of its own
		path := filepath.Join(dir, fmt.Sprint("file", i))
		var text strings.Builder
		for line := 0; text.Len() < 5<<18; line++ {
			fmt.Fprintln(&text, "file", i, "line", line)
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		runIpns(t, string(r), "add", "--chunker=size-10000", path)
	}
	runIpns(t, string(r), "name", "publish", "--allow-offline", "/ipfs/bafkqaaa")
	want, _ := told(t, r)
	state := func() string {
		var b strings.Builder
		list, _ := filepath.Glob(filepath.Join(r.Database(), "*"))
		for _, path := range list {
			if info, err := os.Stat(path); err == nil {
				fmt.Fprintln(&b, path, info.Size())
			}
		}
		return b.String()
	}
	killed, rounds := 0, 0
	for ; rounds < *migrateKills || killed == 0 && rounds < 10**migrateKills; rounds++ {
		round := rounds % *migrateKills
		cmd := ipnsCommand(t, string(r), "repo", "migrate", "--to=1")
		var out lockedBuffer
		cmd.Stdout, cmd.Stderr = &out, &out
		at := state()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var err error
		for changes, done := 0, false; !done; {
			select {
			case err = <-ended:
				done = true
			case <-time.After(100 * time.Microsecond):
				if now := state(); now != at {
					at, changes = now, changes+1
				}
				if changes > 2*round {
					_ = cmd.Process.Kill() // it may have ended
					err, done = <-ended, true
				}
			}
		}
		n, nerr := r.Number()
		switch {
		case nerr != nil:
			t.Fatal(nerr)
		case err != nil && n == repo.Version:
			killed++
		case n != 1:
			t.Fatalf("it ended with version %d: %s", n, out.String())
		}
		if got, _ := told(t, r); got != want {
			t.Fatalf("after round %d it has\n%swant\n%s", round, got, want)
		}
	}
	t.Logf("%d of %d were killed before they ended", killed, rounds)
	if killed == 0 {
		t.Error("no migration was killed in time")
	}
	goBack(t, r)
	if got, _ := told(t, r); got != want {
		t.Fatalf("at the end it has\n%swant\n%s", got, want)
	}
}
