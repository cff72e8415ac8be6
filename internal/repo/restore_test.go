package repo

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

var errCrash = errors.New("crash")

// crashAt makes the n-th rename of a restore fail, and everything behind it.
func crashAt(t *testing.T, n int) {
	t.Helper()
	rename = func(from, to string) error {
		if n--; n < 0 {
			return errCrash
		}
		return os.Rename(from, to)
	}
	t.Cleanup(func() { rename = os.Rename })
}

// TestACrashAtEachStepOfARestoreLeavesAllOrNothing ends a restore before each of its
// renames. Who comes next finds what was there, or what was restored.
func TestACrashAtEachStepOfARestoreLeavesAllOrNothing(t *testing.T) {
	write := func(r Repo, name, text string) {
		t.Helper()
		path := r.path(name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fill := func(r Repo, text string, others ...string) {
		for _, name := range append(others, configFile, "keystore/key_a", "db/000001.log") {
			write(r, name, text)
		}
	}
	is := func(r Repo, text string) bool {
		for _, name := range []string{configFile, "keystore/key_a", "db/000001.log"} {
			if b, err := os.ReadFile(r.path(name)); err != nil || string(b) != text {
				return false
			}
		}
		return true
	}
	for _, had := range []bool{true, false} {
		done := false
		for n := 0; !done; n++ {
			if n > 30 {
				t.Fatal("it never ends")
			}
			r := Repo(t.TempDir())
			if had {
				fill(r, "old", sitesFile, "db.witness", "servers-wan")
				write(r, versionFile, strconv.Itoa(Version))
			}
			lock, err := r.Lock()
			if err != nil {
				t.Fatal(err)
			}
			to, err := r.Restoring()
			if err != nil {
				t.Fatal(err)
			}
			fill(to, "new")
			crashAt(t, n)
			_, err = r.Restored()
			if done = err == nil; !done && !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			rename = os.Rename
			if err := lock.Unlock(); err != nil {
				t.Fatal(err)
			}
			// Even one that does not lock.
			switch err := r.Check(); {
			case err != nil && (had || n > 0):
				t.Fatalf("at %d, had %v: %v", n, had, err)
			case err == nil && !had && n == 0:
				t.Fatal("there is a repo before the restore counts")
			}
			if lock, err = r.Lock(); err != nil {
				t.Fatalf("at %d: %v", n, err)
			}
			switch {
			case n == 0 && had && !is(r, "old"), n > 0 && !is(r, "new"):
				t.Fatalf("at %d, had %v: neither the one nor the other", n, had)
			}
			if _, err := os.Stat(r.path("db.witness")); err == nil && n > 0 {
				t.Errorf("at %d: something of the old repo is left", n)
			}
			before := Repo(r.path(beforeDir + "1"))
			if kept := is(before, "old"); kept != (had && n > 0) {
				t.Errorf("at %d, had %v: the old repo is kept: %v", n, had, kept)
			}
			for _, name := range []string{restoringDir, restoredDir, arrivingDir, leavingDir} {
				if r.has(name) {
					t.Errorf("at %d: %s is left", n, name)
				}
			}
			if err := lock.Unlock(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestARunningNodeIsNotRestoredOver(t *testing.T) {
	r := Repo(t.TempDir())
	lock, err := r.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	if err := os.Mkdir(r.path(restoredDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.Check(); !errors.Is(err, ErrNoRepo) {
		t.Errorf("%v", err)
	}
	if !r.has(restoredDir) {
		t.Error("what another process has locked was changed")
	}
}
