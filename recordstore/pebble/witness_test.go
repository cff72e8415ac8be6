package pebble_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
)

// life opens the store in dir, swaps a name n times, closes it and returns its
// generation.
func life(t *testing.T, dir string, l *ledger, n int) recordstore.Generation {
	t.Helper()
	disk := &ours.Disk{Dir: filepath.Join(dir, "db"), Reserve: -1}
	db, err := ours.OpenDB(disk, silent)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ours.New(db, ours.Options{Disk: disk, Log: silent, Witness: filepath.Join(dir, "witness")})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := l.swap(t, s, 0); err != nil {
			t.Fatal(err)
		}
	}
	gen, err := s.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return gen
}

func copyAll(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestGeneration restores stores from copies, in each of the ways in which people
// do that.
func TestGeneration(t *testing.T) {
	dir := t.TempDir()
	repo, backup := filepath.Join(dir, "repo"), filepath.Join(dir, "backup")
	if err := os.Mkdir(repo, 0o755); err != nil {
		t.Fatal(err)
	}
	l := newLedger(t, 1)
	gen := life(t, repo, l, 3)
	if again := life(t, repo, l, 3); again != gen {
		t.Fatal("an orderly restart began a new generation")
	}
	copyAll(t, repo, backup)
	then := l.acked[0]
	if again := life(t, repo, l, 3); again != gen {
		t.Fatal("a copy made elsewhere began a new generation")
	}
	for what, restore := range map[string]func(*testing.T, string){
		"the whole repository": func(t *testing.T, to string) { copyAll(t, backup, to) },
		"without the witness": func(t *testing.T, to string) {
			copyAll(t, filepath.Join(backup, "db"), filepath.Join(to, "db"))
		},
		"the database, beside the witness that saw more": func(t *testing.T, to string) {
			if err := os.Rename(repo, to); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(to, "db")); err != nil {
				t.Fatal(err)
			}
			copyAll(t, filepath.Join(backup, "db"), filepath.Join(to, "db"))
		},
	} {
		t.Run(what, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "repo")
			restore(t, to)
			restored := &ledger{keys: l.keys, acked: map[int]recordstore.Entry{0: then}, doubt: map[int]recordstore.Entry{}}
			renewed := life(t, to, restored, 1)
			if renewed == gen {
				t.Fatal("the store does not know that it was restored")
			}
			if life(t, to, restored, 1) != renewed {
				t.Fatal("an orderly restart began a new generation")
			}
		})
	}
}
