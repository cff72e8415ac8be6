package site

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.VerifyMain(m) }

// patience bounds how long a test waits for an event; none asserts how long it took.
const patience = 30 * time.Second

func watched(t *testing.T, dir string) *Watcher {
	t.Helper()
	w := Watch(t.Context(), dir, func(path string, isDir bool) bool { return strings.HasSuffix(path, "~") || path == "out" })
	t.Cleanup(w.Close)
	return w
}

func changedSoon(t *testing.T, w *Watcher, what string) {
	t.Helper()
	select {
	case <-w.Changed():
	case <-time.After(patience):
		t.Fatalf("%s: no event", what)
	}
}

// drain takes what is left of the events so far.
func drain(w *Watcher) {
	for {
		select {
		case <-w.Changed():
		case <-time.After(100 * time.Millisecond):
			return
		}
	}
}

func site(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "site")
	write(t, filepath.Join(dir, "index.html"), "1")
	return dir
}

func TestChangesAreSeen(t *testing.T) {
	dir := site(t)
	write(t, filepath.Join(dir, "sub/a"), "1")
	w := watched(t, dir)
	do := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		changedSoon(t, w, what)
		drain(w)
	}
	do("a write", os.WriteFile(filepath.Join(dir, "index.html"), []byte("2"), 0o644))
	do("a write below", os.WriteFile(filepath.Join(dir, "sub/a"), []byte("2"), 0o644))
	do("a new file", os.WriteFile(filepath.Join(dir, "sub/b"), []byte("2"), 0o644))
	do("folders", os.MkdirAll(filepath.Join(dir, "x/y/z"), 0o755))
	do("a file in a new folder", os.WriteFile(filepath.Join(dir, "x/y/z/f"), []byte("2"), 0o644))
	do("a rename", os.Rename(filepath.Join(dir, "x"), filepath.Join(dir, "w")))
	do("a write in what was renamed", os.WriteFile(filepath.Join(dir, "w/y/z/f"), []byte("3"), 0o644))
	do("rules", os.WriteFile(filepath.Join(dir, ".ipnsignore"), []byte("x"), 0o644))
	do("a removal", os.RemoveAll(filepath.Join(dir, "w")))
	do("other permissions", os.Chmod(filepath.Join(dir, "index.html"), 0o600))
}

func TestWhatIsLeftOutDoesNotWakeAnyone(t *testing.T) {
	dir := site(t)
	write(t, filepath.Join(dir, "out/a"), "1")
	w := watched(t, dir)
	if w.Polls() != "" {
		t.Skipf("looks come too: %s", w.Polls())
	}
	write(t, filepath.Join(dir, "out/a"), "2")
	write(t, filepath.Join(dir, "out/new/b"), "2")
	write(t, filepath.Join(dir, "index.html~"), "2")
	select {
	case <-w.Changed():
		t.Error("what is left out is an event")
	case <-time.After(300 * time.Millisecond):
	}
	write(t, filepath.Join(dir, "index.html"), "2")
	changedSoon(t, w, "after that")
}

func TestAFolderThatGoesAndComesBackIsSeen(t *testing.T) {
	dir := site(t)
	w := watched(t, dir)
	if err := os.Rename(dir, dir+"-gone"); err != nil {
		t.Fatal(err)
	}
	changedSoon(t, w, "the folder is gone")
	for w.Polls() == "" {
		time.Sleep(10 * time.Millisecond)
	}
	drain(w)
	write(t, filepath.Join(dir, "index.html"), "another folder")
	changedSoon(t, w, "the folder is back")
	for strings.Contains(w.Polls(), "is not there") {
		changedSoon(t, w, "the folder is watched again")
	}
	drain(w)
	write(t, filepath.Join(dir, "more.html"), "x")
	changedSoon(t, w, "a file in the new folder")
}

func TestAFolderWithMoreFoldersThanAreWatchedIsLookedAt(t *testing.T) {
	dir := site(t)
	for i := range 3 {
		write(t, filepath.Join(dir, fmt.Sprint("sub", i), "a"), "1")
	}
	w := watch(t.Context(), dir, 3, func(string, bool) bool { return false })
	defer w.Close()
	if !strings.Contains(w.Polls(), "more than 3 folders") {
		t.Errorf("looked at because %q", w.Polls())
	}
	for range 3 { // without any event
		changedSoon(t, w, "a look")
	}
	few := watch(t.Context(), dir, 4, func(string, bool) bool { return false })
	defer few.Close()
	if strings.Contains(few.Polls(), "folders") {
		t.Errorf("looked at because %q", few.Polls())
	}
	write(t, filepath.Join(dir, "sub9/a"), "1") // one more while it is watched
	for !strings.Contains(few.Polls(), "more than 4 folders") {
		changedSoon(t, few, "a new folder")
	}
}

func TestFoldersThatAreMadeAgainAndAgainAreStillWatched(t *testing.T) {
	dir := site(t)
	w := watch(t.Context(), dir, 4, func(string, bool) bool { return false })
	defer w.Close()
	if w.Polls() != "" {
		t.Skipf("looks come too: %s", w.Polls())
	}
	for range 5 {
		write(t, filepath.Join(dir, "sub/a"), "1")
		changedSoon(t, w, "a folder")
		drain(w)
		if err := os.RemoveAll(filepath.Join(dir, "sub")); err != nil {
			t.Fatal(err)
		}
		changedSoon(t, w, "a folder that is gone")
		drain(w)
	}
	if w.Polls() != "" {
		t.Errorf("looked at because %q", w.Polls())
	}
}

func TestALoopOfLinksAndAFolderThatCannotBeReadAreWatchedAround(t *testing.T) {
	dir := site(t)
	write(t, filepath.Join(dir, "sub/a"), "1")
	if err := os.Symlink("..", filepath.Join(dir, "sub/up")); err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700) }) // or it cannot be removed
	w := watched(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "sub/a"), []byte("2"), 0o644); err != nil {
		t.Fatal(err)
	}
	changedSoon(t, w, "a write beside them")
}

// Events are more than the kernel's queue holds; what is held for them is one element of a channel.
func TestAFloodOfEventsNeedsNoMemory(t *testing.T) {
	dir := site(t)
	w := watched(t, dir)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	writes := 50_000
	if testing.Short() {
		writes = 10_000
	}
	for i := range writes { // each is a create, a write and a close
		name := filepath.Join(dir, fmt.Sprint("f", i%100))
		if err := os.WriteFile(name, []byte{byte(i)}, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	changedSoon(t, w, "a flood")
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes are held after a flood", grown)
	}
	drain(w)
	write(t, filepath.Join(dir, "sub/after"), "x")
	changedSoon(t, w, "a file after the flood")
}

func TestMountsWithoutEventsAreLookedAt(t *testing.T) {
	if mountOf(t.TempDir()).elsewhere {
		t.Skip("the folder for temporary files is on another machine")
	}
	if mountOf("/nowhere") != (mount{}) {
		t.Error("a path that is not there has a mount")
	}
}
