// Package denylist reads denylists in the compact format (IPIP-383) and says what they deny: names, CIDs and paths, in
// clear or as hashes.
//
// The rules are those by which Kubo's plugin reads the files; the later line wins, and the later file: those of the
// system come first, then those of the user, then those of the repo, each folder in the order of its names. Files are
// looked at every few seconds and read again as a whole when they have changed, so that what is added, removed or
// replaced counts without a restart.
//
// Invariants: a line that is not understood is reported with its number and skipped, and takes nothing else down. While
// a file that was read before cannot be read, what it said before goes on.
package denylist

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
)

// How files are looked at.
const (
	Period   = 2 * time.Second // between two looks
	maxFiles = 64              // in all folders
	suffix   = ".deny"
	off      = "IPFS_CONTENT_BLOCKING_DISABLE" // this environment variable turns all off, as in Kubo
)

// Lists are the denylists in some folders. Its methods are safe for concurrent use.
type Lists struct {
	folders []string
	log     *slog.Logger
	files   map[string]*file  // by path; only of Run and Open
	failed  map[string]string // why a folder could not be read at the last look; the same

	current atomic.Pointer[[]*list] // the last has the last word
	changes atomic.Uint64
}

// file is a file that was read.
type file struct {
	state  state
	list   *list  // nil: it could not be read
	failed string // why it could not be read at the last look; "": it could
}

// state is by what a change of a file is seen.
type state struct {
	modified time.Time
	size     int64
	id       fs.FileInfo
}

func (s state) same(o state) bool {
	return s.modified.Equal(o.modified) && s.size == o.size && os.SameFile(s.id, o.id)
}

// Folders are where denylists are looked for, besides the repo's own folder, which is the last.
func Folders(repo string) []string {
	all := []string{"/etc/ipfs/denylists"}
	home := ""
	if dir, err := os.UserHomeDir(); err == nil {
		home = filepath.Join(dir, ".config")
	}
	if dir := cmp.Or(os.Getenv("XDG_CONFIG_HOME"), home); dir != "" {
		all = append(all, filepath.Join(dir, "ipfs", "denylists"))
	}
	return append(all, repo)
}

// Open reads the lists in some folders. Those that don't exist are looked for again by Run.
func Open(folders []string, log *slog.Logger) *Lists {
	if os.Getenv(off) != "" {
		folders = nil
	}
	l := &Lists{folders: folders, log: log, files: map[string]*file{}, failed: map[string]string{}}
	l.current.Store(new([]*list))
	l.look()
	return l
}

// Run reads again what changes, until ctx ends.
func (l *Lists) Run(ctx context.Context) error {
	for len(l.folders) > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(Period):
		}
		l.look()
	}
	return nil
}

// look reads the files that have changed.
func (l *Lists) look() {
	paths := l.find()
	changed := len(paths) != len(l.files)
	files := map[string]*file{}
	var lists []*list
	for _, path := range paths {
		f, again := l.read(path, l.files[path])
		files[path] = f
		changed = changed || again || l.files[path] == nil
		if f.list != nil {
			lists = append(lists, f.list)
		}
	}
	l.files = files
	if changed {
		l.current.Store(&lists)
		l.changes.Add(1)
	}
}

// find returns the files in the order in which they count. A folder that can't be read takes nothing down: what was read
// in it before goes on.
func (l *Lists) find() (paths []string) {
	for _, folder := range l.folders {
		var found []string
		var failed error
		folder = filepath.Clean(folder) + string(filepath.Separator) // it may be a link
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				failed = err
			case d.IsDir() || filepath.Ext(path) != suffix:
			case len(paths)+len(found) >= maxFiles:
				failed = fmt.Errorf("there are more than %d", maxFiles)
				return fs.SkipAll
			default:
				found = append(found, path)
			}
			return nil
		})
		if failed = errors.Join(failed, err); failed != nil {
			for path := range l.files {
				if strings.HasPrefix(path, folder) && !slices.Contains(found, path) && len(paths)+len(found) < maxFiles {
					found = append(found, path)
				}
			}
			slices.Sort(found)
		}
		if text := fmt.Sprint(failed); failed != nil && l.failed[folder] != text {
			l.failed[folder] = text
			l.log.Error("not all denylists can be found; what was read before goes on", "folder", folder, "err", failed)
		} else if failed == nil {
			delete(l.failed, folder)
		}
		paths = append(paths, found...)
	}
	return paths
}

// read returns what a file says, and whether that is news. before may be nil.
func (l *Lists) read(path string, before *file) (now *file, news bool) {
	f, err := os.Open(path)
	var info fs.FileInfo
	if err == nil {
		defer f.Close()
		info, err = f.Stat()
	}
	if err != nil {
		if before == nil {
			before = &file{}
		}
		if text := err.Error(); before.failed != text {
			before.failed = text
			l.log.Error("a denylist can't be read", "file", path, "err", err)
		}
		return before, false
	}
	at := state{info.ModTime(), info.Size(), info}
	if before != nil && before.state.id != nil && before.state.same(at) {
		before.failed = ""
		return before, false
	}
	list, err := read(f)
	if err != nil {
		l.log.Error("a denylist can't be used", "file", path, "err", err)
		if before != nil {
			list = before.list
		}
		return &file{state: at, list: list}, false
	}
	for _, fault := range list.faults {
		l.log.Warn("a line of a denylist is skipped", "file", path, "line", fault.line, "err", fault.err)
	}
	if n := list.faulty - len(list.faults); n > 0 {
		l.log.Warn("more lines of a denylist are skipped", "file", path, "lines", n)
	}
	list.faults = nil
	l.log.Info("denylist read", "file", path, "rules", list.rules)
	return &file{state: at, list: list}, true
}

// Changes is how often the lists have changed.
func (l *Lists) Changes() uint64 { return l.changes.Load() }

// DeniesCID reports whether a CID is denied by itself.
func (l *Lists) DeniesCID(c cid.Cid) bool {
	all := *l.current.Load()
	if len(all) == 0 || safe[string(c.Hash())] {
		return false
	}
	return last(all, func(one *list) verdict { return one.cid(c) })
}

// DeniesPath reports whether a path is denied: /ipfs/CID, /ipns/NAME or /ipns/DOMAIN, with or without more.
func (l *Lists) DeniesPath(path string) bool {
	all := *l.current.Load()
	if len(all) == 0 {
		return false
	}
	parts := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 3)
	if len(parts) < 2 {
		return false
	}
	below := ""
	if len(parts) == 3 {
		below = parts[2]
	}
	return last(all, func(one *list) verdict { return one.path(parts[0], parts[1], below) })
}

// last is what the last list says that says anything.
func last(all []*list, says func(*list) verdict) bool {
	for i := len(all) - 1; i >= 0; i-- {
		if v := says(all[i]); v != nothing {
			return v == denied
		}
	}
	return false
}
