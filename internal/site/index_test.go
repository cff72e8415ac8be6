package site

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/folder"
)

// long ago is when the files of a test were written, unless it writes them again.
var longAgo = time.Now().Add(-time.Hour)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// indexed reads a folder, as if that was now.
func indexed(t *testing.T, dir string, now time.Time) Index {
	t.Helper()
	r := Read(dir, "")
	r.x.Began, r.x.Slack = now, racy
	for e, err := range folder.Walk(dir, folder.Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		r.Note(e)
	}
	return r.Index("root")
}

func changes(t *testing.T, x Index, dir string, exact bool) Changes {
	t.Helper()
	c, err := x.Changes(dir, folder.Options{}, exact)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatHasChangedIsFoundWithoutReading(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	for _, name := range []string{"a", "sub/b", "sub/c", "gone/d", "touched", "replaced"} {
		write(t, filepath.Join(dir, name), name)
	}
	now := time.Now().Add(time.Minute) // so that none of the files is new
	x := indexed(t, dir, now)
	if c := changes(t, x, dir, true); !c.None() {
		t.Errorf("nothing has changed, and got %+v", c)
	}
	write(t, filepath.Join(dir, "sub/b"), "longer")
	write(t, filepath.Join(dir, "new/e"), "e")
	if err := os.RemoveAll(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "touched"), longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "other"), "replaces") // another inode with the size and the time of what was there
	info, err := os.Stat(filepath.Join(dir, "replaced"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "other"), info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "other"), filepath.Join(dir, "replaced")); err != nil {
		t.Fatal(err)
	}
	want := Changes{Added: []string{"new", "new/e"}, Changed: []string{"replaced", "sub/b", "touched"}, Removed: []string{"gone", "gone/d"}}
	if got := changes(t, x, dir, false); !reflect.DeepEqual(got, want) || got.Len() != 7 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A write within a tick of the clock of the file system leaves size and times as they are.
func TestAFileThatIsAsNewAsItsReadIsNotTrusted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	write(t, filepath.Join(dir, "a"), "1")
	for age, known := range map[time.Duration]bool{0: false, racy / 2: false, racy + time.Second: true, -time.Hour: false} {
		x := indexed(t, dir, time.Now().Add(age))
		info, err := os.Stat(filepath.Join(dir, "a"))
		if err != nil {
			t.Fatal(err)
		}
		if got := x.Knows("site/a", info); got != known || x.Racy() == known {
			t.Errorf("read %s after it was written: known %t, racy %t", age, got, x.Racy())
		}
		if c := changes(t, x, dir, false); !c.None() {
			t.Errorf("read %s after: %+v without a reason", age, c)
		}
		if c := changes(t, x, dir, true); c.None() != known {
			t.Errorf("read %s after: exactly, %+v", age, c)
		}
	}
}

func TestAnIndexSurvivesAMoveAndARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	write(t, filepath.Join(dir, "sub/a"), "1")
	x := indexed(t, dir, time.Now().Add(time.Minute))
	file := filepath.Join(t.TempDir(), "index")
	if err := x.Save(file); err != nil {
		t.Fatal(err)
	}
	moved := dir + "-2"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	got := LoadIndex(file)
	if got.Root != "root" || len(got.Files) != 3 {
		t.Fatalf("read %+v", got)
	}
	if c := changes(t, got, moved, true); !c.None() {
		t.Errorf("after a move: %+v", c)
	}
	if err := os.WriteFile(file, []byte(`{"Root":"x","Fi`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := LoadIndex(file); got.Root != "" || got.Files != nil {
		t.Errorf("a torn index was read as %+v", got)
	}
	if got := LoadIndex(file + "x"); got.Root != "" {
		t.Errorf("a missing index was read as %+v", got)
	}
}

func TestALoopOfLinksIsNoChange(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	write(t, filepath.Join(dir, "sub/a"), "1")
	if err := os.Symlink("..", filepath.Join(dir, "sub/up")); err != nil {
		t.Fatal(err)
	}
	o := folder.Options{Links: folder.FollowWithin}
	r := Read(dir, "")
	var paths []string
	for e, err := range folder.Walk(dir, o) {
		if err != nil {
			t.Fatal(err)
		}
		r.Note(e)
		paths = append(paths, e.Path)
	}
	if !slices.Equal(paths, []string{"site", "site/sub", "site/sub/a"}) {
		t.Errorf("walked %q", paths)
	}
	if c, err := r.Index("root").Changes(dir, o, false); err != nil || !c.None() {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAFolderWithoutFilesIsEmptied(t *testing.T) {
	for name, tt := range map[string]struct {
		had  []string
		c    Changes
		want bool
	}{
		"all gone":          {[]string{"", "a", "b"}, Changes{Removed: []string{"a", "b"}}, true},
		"without the root":  {[]string{"a", "b"}, Changes{Removed: []string{"a", "b"}}, true},
		"one left":          {[]string{"", "a", "b"}, Changes{Removed: []string{"a"}}, false},
		"another came":      {[]string{"", "a"}, Changes{Removed: []string{"a"}, Added: []string{"c"}}, false},
		"was empty":         {[]string{""}, Changes{}, false},
		"nothing was known": {nil, Changes{}, false},
	} {
		x := Index{Files: map[string]Stat{}}
		for _, path := range tt.had {
			x.Files[path] = Stat{}
		}
		if got := tt.c.Empties(x); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
