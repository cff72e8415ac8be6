package pebble_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
)

// useStore opens the store in dir, swaps a name n times, closes it and returns its
// generation.
func useStore(t *testing.T, dir string, l *ledger, n int) recordstore.Generation {
	t.Helper()
	disk := &ours.Disk{Dir: filepath.Join(dir, "db"), Reserve: -1}
	db, err := ours.OpenDB(t.Context(), disk, silent)
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

// TestGeneration restores stores from copies in the usual ways.
func TestGeneration(t *testing.T) {
	t.Parallel() // it mostly waits
	dir := t.TempDir()
	repo, backup := filepath.Join(dir, "repo"), filepath.Join(dir, "backup")
	if err := os.Mkdir(repo, 0o755); err != nil {
		t.Fatal(err)
	}
	l := newLedger(t, 1)
	gen := useStore(t, repo, l, 3)
	if again := useStore(t, repo, l, 3); again != gen {
		t.Fatal("an orderly restart began a new generation")
	}
	copyAll(t, repo, backup)
	then := l.acked[0]
	if again := useStore(t, repo, l, 3); again != gen {
		t.Fatal("a copy made elsewhere began a new generation")
	}
	for what, restore := range map[string]func(*testing.T, string){
		"the whole repository": func(t *testing.T, to string) { copyAll(t, backup, to) },
		"without the witness": func(t *testing.T, to string) {
			copyAll(t, filepath.Join(backup, "db"), filepath.Join(to, "db"))
		},
		"only the database, while the witness has seen more": func(t *testing.T, to string) {
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
			renewed := useStore(t, to, restored, 1)
			if renewed == gen {
				t.Fatal("the store does not know that it was restored")
			}
			if useStore(t, to, restored, 1) != renewed {
				t.Fatal("an orderly restart began a new generation")
			}
		})
	}
}

// volume is a directory that can be put back with the same inodes, as a snapshot of the
// whole volume would be, and a directory on another volume.
type volume struct{ dir, outside string }

func newVolume(t *testing.T) *volume {
	t.Helper()
	v := &volume{dir: t.TempDir()}
	outside, err := os.MkdirTemp("/dev/shm", "witness-")
	if err != nil {
		t.Skip("no second volume: ", err)
	}
	v.outside = outside
	t.Cleanup(func() { os.RemoveAll(v.outside) })
	return v
}

// open opens the store of the volume.
func (v *volume) open(t *testing.T) (s *ours.Store, stop func()) {
	t.Helper()
	disk := &ours.Disk{Dir: filepath.Join(v.dir, "db"), Reserve: -1}
	db, err := ours.OpenDB(t.Context(), disk, silent)
	if err != nil {
		t.Fatal(err)
	}
	s, err = ours.New(db, ours.Options{
		Disk: disk, Log: silent, Witness: filepath.Join(v.dir, "witness"), Outside: []string{v.outside, "/dev/null/none"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func (v *volume) snapshot(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "snapshot")
	copyAll(t, v.dir, to)
	return to
}

// putBack makes the files those of a snapshot. The directory and the witness keep their
// inodes.
func (v *volume) putBack(t *testing.T, from string) {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(v.dir, "db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		if err := os.RemoveAll(filepath.Join(v.dir, "db", d.Name())); err != nil {
			t.Fatal(err)
		}
	}
	copyAll(t, filepath.Join(from, "db"), filepath.Join(v.dir, "db"))
	b, err := os.ReadFile(filepath.Join(from, "witness"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(v.dir, "witness"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotOfTheWholeVolumeIsNoticed puts a volume back, including the witness, as it
// was before a swap. The file on the other volume has seen more.
func TestSnapshotOfTheWholeVolumeIsNoticed(t *testing.T) {
	t.Parallel() // it mostly waits
	generation := func(s *ours.Store) recordstore.Generation {
		gen, err := s.Generation(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return gen
	}
	for what, running := range map[string]bool{"taken after a stop": false, "taken while it runs": true} {
		t.Run(what, func(t *testing.T) {
			v, l := newVolume(t), newLedger(t, 1)
			s, stop := v.open(t)
			gen := generation(s)
			swap := func() {
				t.Helper()
				if err := l.swap(t, s, 0); err != nil {
					t.Fatal(err)
				}
			}
			swap()
			var snap string
			if running {
				snap = v.snapshot(t)
			} else {
				stop()
				snap = v.snapshot(t)
				s, stop = v.open(t)
			}
			then := l.acked[0]
			swap() // within a minute, so the witness beside the database is not updated
			stop()
			s, stop = v.open(t)
			if generation(s) != gen {
				t.Fatal("an orderly restart began a new generation")
			}
			stop()
			v.putBack(t, snap)
			s, stop = v.open(t)
			second := generation(s)
			if second == gen {
				t.Fatal("the store does not know that a snapshot was put back")
			}
			l.acked[0] = then
			swap()
			stop()
			s, stop = v.open(t)
			if generation(s) != second {
				t.Fatal("an orderly restart began a new generation")
			}
			stop()
			// Again, and this generation has swapped nothing since the snapshot was
			// taken.
			v.putBack(t, snap)
			s, stop = v.open(t)
			defer stop()
			if third := generation(s); third == gen || third == second {
				t.Fatal("the same snapshot was taken for the generation it was made of")
			}
		})
	}
}

// TestCopyElsewhereLeavesTheOriginalAlone opens a backup on the same machine.
func TestCopyElsewhereLeavesTheOriginalAlone(t *testing.T) {
	t.Parallel() // it mostly waits
	v, l := newVolume(t), newLedger(t, 1)
	s, stop := v.open(t)
	if err := l.swap(t, s, 0); err != nil {
		t.Fatal(err)
	}
	gen, _ := s.Generation(t.Context())
	stop()
	other := &volume{dir: v.snapshot(t), outside: v.outside}
	s, stop = other.open(t)
	if copied, _ := s.Generation(t.Context()); copied == gen {
		t.Error("the copy does not notice that it is a copy")
	}
	if err := (&ledger{keys: l.keys, acked: map[int]recordstore.Entry{0: l.acked[0]}, doubt: map[int]recordstore.Entry{}}).swap(t, s, 0); err != nil {
		t.Fatal(err)
	}
	stop()
	s, stop = v.open(t)
	defer stop()
	if now, _ := s.Generation(t.Context()); now != gen {
		t.Error("the original takes itself for a copy")
	}
}
