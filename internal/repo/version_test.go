package repo

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// whole returns all files of a folder, with their content.
func whole(t *testing.T, dir string) map[string]string {
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

func writeVersion(t *testing.T, r Repo, text string) {
	t.Helper()
	if err := os.WriteFile(r.path(versionFile), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOlderRepoIsMadeOneOfThisVersion: and the lock says so, once.
func TestOlderRepoIsMadeOneOfThisVersion(t *testing.T) {
	r := create(t)
	for _, text := range []string{"1\n", "1"} {
		writeVersion(t, r, text)
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Number(); n != 1 || err != nil {
			t.Fatalf("looking changed it: %d, %v", n, err)
		}
		l, err := r.Lock()
		if err != nil {
			t.Fatal(err)
		}
		if note := l.Note(); !strings.Contains(note, "was of version 1, and is of version 2 now: blocks may rest in packs") {
			t.Errorf("it says %q", note)
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, r, versionFile); got != "2\n" {
			t.Errorf("version %q", got)
		}
		if l, err = r.Lock(); err != nil || l.Note() != "" {
			t.Errorf("the second time: %q, %v", l.Note(), err)
		}
		if err := errors.Join(r.SetVersion(1), l.Unlock()); err != nil || read(t, r, versionFile) != "1\n" {
			t.Errorf("back: %v", err)
		}
	}
}

// TestNewerRepoStaysAsItIs, even with an unfinished restore inside.
func TestNewerRepoStaysAsItIs(t *testing.T) {
	r := create(t)
	writeVersion(t, r, "3\n")
	if err := os.Mkdir(r.path(arrivingDir), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{apiFile: "/ip4/127.0.0.1/tcp/1", restoringDir: "x"} {
		if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := whole(t, string(r))
	if err := r.Check(); !errors.Is(err, ErrNewer) {
		t.Errorf("check: %v", err)
	}
	if _, err := r.Lock(); !errors.Is(err, ErrNewer) {
		t.Errorf("lock: %v", err)
	}
	if _, _, err := r.LockOrAPI(t.Context()); !errors.Is(err, ErrNewer) {
		t.Errorf("lock: %v", err)
	}
	if after := whole(t, string(r)); !maps.Equal(before, after) {
		t.Errorf("it was changed: %v", after)
	}
	for _, text := range []string{"", "0", "-1", "two", "1.5"} {
		writeVersion(t, r, text)
		if err := r.Check(); err == nil || errors.Is(err, ErrNewer) {
			t.Errorf("version %q: %v", text, err)
		}
	}
}
