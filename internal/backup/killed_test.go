package backup

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/names"
)

var rounds = flag.Int("kills", 8, "how often a backup and a restore are killed")

// childEnv makes the test binary a process that saves or restores.
const childEnv = "IPNS_TEST_BACKUP"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := child(repo.Repo(dir), os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child saves a repo or restores one. With a limit, no file gets larger, as on a full disk.
func child(r repo.Repo, do, path, identity, limit string) error {
	id, err := age.ParseX25519Identity(identity)
	if err != nil {
		return err
	}
	secret := Secret{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}
	ctx := context.Background()
	if do == "restore" {
		_, err := Restore(ctx, Restoration{Path: path, Secret: secret, Into: r, Replace: true, Open: openNames})
		return err
	}
	var names bytes.Buffer
	if err := openNames(ctx, r, func(n Names) error { return dumpTo(ctx, &names, n) }); err != nil {
		return err
	}
	if limit != "" {
		size, err := strconv.ParseUint(limit, 10, 64)
		if err != nil {
			return err
		}
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size}); err != nil {
			return err
		}
	}
	_, err = Save(ctx, path, Source{Repo: r, Names: &names}, secret)
	return err
}

func dumpTo(ctx context.Context, out *bytes.Buffer, n Names) error {
	return Dump(ctx, out, Store{Book: &names.Book{Store: n.Store}, Rows: n.Rows})
}

func start(t *testing.T, r repo.Repo, do, path string, secret Secret, limit string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], do, path, fmt.Sprint(secret.Identities[0]), limit)
	cmd.Env = append(os.Environ(), childEnv+"="+string(r))
	return cmd
}

// TestAFullDiskKeepsTheBackupBefore bounds how large a file may get.
func TestAFullDiskKeepsTheBackupBefore(t *testing.T) {
	secret := cheap(t)
	r := newRepo(t)
	path := filepath.Join(t.TempDir(), "names.age")
	save(t, r, path, secret)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 4096, len(before) * 3 / 4} {
		out, err := start(t, r, "save", path, secret, fmt.Sprint(size)).CombinedOutput()
		if err == nil || !strings.Contains(string(out), syscall.EFBIG.Error()) {
			t.Errorf("at %d bytes: %s, %v", size, out, err)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, before) {
			t.Fatalf("at %d bytes: the backup before has changed: %v", size, err)
		}
		if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
			t.Errorf("at %d bytes: left %v, %v", size, list, err)
		}
	}
}

// TestAKilledBackupOrRestoreLeavesAllOrNothing kills a process at any moment. A file has the
// backup before or the new one, a repo what was there or what was restored. -kills=200 is
// the long form.
func TestAKilledBackupOrRestoreLeavesAllOrNothing(t *testing.T) {
	secret := cheap(t)
	from, r := newRepo(t), small(t)
	other := dump(t, r)
	path := filepath.Join(t.TempDir(), "names.age")
	save(t, from, path, secret)
	kept := filepath.Join(t.TempDir(), "small.age")
	save(t, r, kept, secret)
	names := map[string]string{kept: content(other), path: content(dump(t, from))}
	for at, text := range names { // pins are only listed
		lines := strings.Split(text, "\n")
		names[at] = strings.Join(lines[:len(lines)-2], "\n")
	}
	lasts := map[string]time.Duration{}
	run := func(do, path string, r repo.Repo) (killed bool) {
		cmd := start(t, r, do, path, secret, "")
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if lasts[do] == 0 { // the first one measures how long it takes
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			lasts[do] = time.Since(began)
			return false
		}
		time.Sleep(time.Duration(rand.Int64N(int64(lasts[do]))))
		_ = cmd.Process.Kill() // it may have ended
		return cmd.Wait() != nil
	}
	hits := 0
	at := kept // what the repo has
	for i := range *rounds {
		if run("save", path, from) {
			hits++
		}
		by, err := secret.identities()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readFile(t.Context(), path, by, &checker{}); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		next := map[string]string{kept: path, path: kept}[at]
		killed := run("restore", next, r)
		if killed {
			hits++
		}
		if err := r.Check(); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		lock, err := r.Lock() // completes or removes what was left
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if err := lock.Unlock(); err != nil {
			t.Fatal(err)
		}
		text := content(withoutPins(dump(t, r)))
		switch {
		case text == names[next]:
			at = next
		case text != names[at] || !killed:
			t.Fatalf("round %d, killed %v: the repo has neither\n%.300s", i, killed, text)
		}
		if _, err := os.Stat(filepath.Join(r.Keystore(), "key_mjwg6zy")); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		for _, left := range []string{restoring(r, "restoring"), restoring(r, "restored"), restoring(r, "restored.in"), restoring(r, "restored.before")} {
			if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("round %d: %s is left: %v", i, left, err)
			}
		}
		old, err := filepath.Glob(restoring(r, "before-restore-*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range old { // or the disk fills up
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	save(t, from, path, secret)
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("left %v, %v", list, err)
	}
	t.Logf("%d of %d processes were killed before they ended", hits, 2**rounds)
	if hits == 0 {
		t.Error("no process was killed in time")
	}
}

func restoring(r repo.Repo, name string) string { return filepath.Join(string(r), name) }

func withoutPins(text string) string {
	i := strings.Index(text, `{"Pin"`)
	if i < 0 {
		return text
	}
	return text[:i]
}
