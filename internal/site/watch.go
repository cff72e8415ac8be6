package site

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/goipns/ipns/internal/folder"
)

// Limits and paces of watching.
const (
	// maxWatched bounds the folders that are watched; above it they are looked at.
	maxWatched = 1 << 16
	// lookRarely is the time between two looks at a folder that sends events, lookOften at one that may not.
	lookRarely = time.Minute
	lookOften  = 2 * time.Second
	// lookShare is how many times as long as a look takes the time between two is at least.
	lookShare = 20
)

// Watcher tells when something in a folder may have changed. It holds one watch for each folder, and nothing for each
// event.
type Watcher struct {
	dir     string
	limit   int           // of folders that are watched
	changed chan struct{} // has an element from an event until it is received
	done    chan struct{}
	stop    context.CancelFunc

	leaveOut atomic.Pointer[func(path string, isDir bool) bool]
	cost     atomic.Int64 // how long a look takes
	why      atomic.Pointer[string]

	// Of the goroutine:
	events *fsnotify.Watcher // nil: none come
	never  bool              // nor will they
	root   fs.FileInfo       // the folder that is watched
	count  int               // folders that were watched since it was opened
}

// Watch watches a folder, which should be a path without links, until Close. leaveOut reports what of it, by the path
// below it, does not matter.
func Watch(ctx context.Context, dir string, leaveOut func(path string, isDir bool) bool) *Watcher {
	return watch(ctx, dir, maxWatched, leaveOut)
}

func watch(ctx context.Context, dir string, limit int, leaveOut func(path string, isDir bool) bool) *Watcher {
	ctx, stop := context.WithCancel(ctx)
	w := &Watcher{dir: dir, limit: limit, changed: make(chan struct{}, 1), done: make(chan struct{}), stop: stop}
	w.LeaveOut(leaveOut)
	w.open()
	go w.run(ctx)
	return w
}

// Close ends the watch, and waits for that.
func (w *Watcher) Close() {
	w.stop()
	<-w.done
}

// Changed has an element if something may have changed since the last one was received.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// LeaveOut replaces what does not matter.
func (w *Watcher) LeaveOut(f func(path string, isDir bool) bool) { w.leaveOut.Store(&f) }

// Took says how long a look at the folder takes, so that looking takes a small share of the time.
func (w *Watcher) Took(d time.Duration) { w.cost.Store(int64(d)) }

// Polls returns why the folder is looked at every few seconds instead of only when something is said to have changed;
// "": it is not.
func (w *Watcher) Polls() string {
	if why := w.why.Load(); why != nil {
		return *why
	}
	return ""
}

func (w *Watcher) polls(why string) { w.why.Store(&why) }

// poke says that something may have changed.
func (w *Watcher) poke() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *Watcher) run(ctx context.Context) {
	defer close(w.done)
	defer w.closeEvents()
	look := time.NewTimer(w.pace())
	defer look.Stop()
	for {
		var events <-chan fsnotify.Event
		var failed <-chan error
		if w.events != nil {
			events, failed = w.events.Events, w.events.Errors
		}
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			if w.event(e) {
				w.poke()
			}
			if w.events == nil {
				look.Reset(w.pace())
			}
		case <-failed: // events were lost, and with them, perhaps, new folders
			w.reopen()
			w.poke()
		case <-look.C:
			if w.events == nil || !w.same() {
				w.reopen()
			}
			w.poke()
			look.Reset(w.pace())
		}
	}
}

func (w *Watcher) pace() time.Duration {
	pace := lookRarely
	if w.Polls() != "" {
		pace = lookOften
	}
	return max(pace, lookShare*time.Duration(w.cost.Load()))
}

// open begins to receive events, where there are some.
func (w *Watcher) open() {
	if w.never {
		return
	}
	var err error
	if w.root, err = os.Stat(w.dir); err != nil {
		w.polls(fmt.Sprintf("%s is not there", w.dir))
		return
	}
	w.polls("")
	if m := mountOf(w.dir); m.silent {
		w.polls(fmt.Sprintf("%s is on a file system (%s) where changes may come without an event", w.dir, m.name))
	}
	events, err := fsnotify.NewWatcher()
	if err == nil {
		w.events, w.count = events, 0
		err = w.add(w.dir)
	}
	if err != nil {
		w.never = !errors.Is(err, fs.ErrNotExist)
		w.polls(fmt.Sprintf("watching %s: %v", w.dir, err))
		w.closeEvents()
	}
}

func (w *Watcher) reopen() {
	w.closeEvents()
	w.open()
}

func (w *Watcher) closeEvents() {
	if w.events != nil {
		_ = w.events.Close() // nothing is lost with it
		w.events = nil
	}
}

// same reports whether the folder is still the one that is watched.
func (w *Watcher) same() bool {
	now, err := os.Stat(w.dir)
	return err == nil && os.SameFile(now, w.root)
}

// add watches a folder and those below it. What cannot be read is left to the look at the folder, which says so.
func (w *Watcher) add(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == w.dir:
			return err
		case err != nil || !d.IsDir():
			return nil
		case w.leftOut(path, true):
			return filepath.SkipDir
		case w.count == w.limit:
			return fmt.Errorf("it has more than %d folders", w.limit)
		}
		w.count++
		err = w.events.Add(path)
		if errors.Is(err, syscall.ENOSPC) {
			return errors.New("the limit of watches of this system is reached (fs.inotify.max_user_watches)")
		}
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || err != nil && path == w.dir {
			return err
		}
		return nil
	})
}

// leftOut reports whether a path does not matter. The file with the rules does.
func (w *Watcher) leftOut(path string, isDir bool) bool {
	rel, err := filepath.Rel(w.dir, path)
	if err != nil || rel == "." || rel == folder.RulesFile {
		return false
	}
	leaveOut := *w.leaveOut.Load()
	rel = filepath.ToSlash(rel)
	for i := range len(rel) { // what is in a folder that does not matter does not either
		if rel[i] == '/' && leaveOut(rel[:i], true) {
			return true
		}
	}
	return leaveOut(rel, isDir)
}

// event handles an event, and reports whether it matters.
func (w *Watcher) event(e fsnotify.Event) bool {
	if e.Name == w.dir && e.Has(fsnotify.Remove|fsnotify.Rename) {
		w.closeEvents()
		w.polls(fmt.Sprintf("%s is not there", w.dir))
		return true
	}
	isDir := false
	if e.Has(fsnotify.Create) {
		if info, err := os.Lstat(e.Name); err == nil && info.IsDir() {
			isDir = true
		}
	}
	if w.leftOut(e.Name, isDir) {
		return false
	}
	if isDir { // what came into it before it was watched is seen by the look that follows
		if err := w.add(e.Name); err != nil {
			w.reopen() // folders that are gone were counted, too
		}
	}
	return true
}
