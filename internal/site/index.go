// Package site keeps a published folder and its name together: it knows which files have changed since the folder was
// read, notices changes, and says when to publish again.
//
// An [Index] describes the files of a folder as they were when a root was made of it, so that only what has changed is
// read again. [Watch] tells that something may have changed, and [Follow] turns that into rounds, each of which
// compares the folder with its index. Events are only a hint: a lost one delays a round, and a needless one costs a look
// at the folder.
//
// Invariant: a file counts as unchanged only if size, times and inode are those of the index, and its times are older
// than the beginning of the read by more than the clock of the file system may be coarse or off.
package site

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/durable"
	"github.com/goipns/ipns/internal/folder"
)

const (
	// racy is how much older than the read the times of a file must be: a write within one tick of the clock of the
	// file system does not show in them.
	racy = 2 * time.Second
	// racyElsewhere is the same where times are those of another machine.
	racyElsewhere = 10 * time.Minute
	// maxIndexed bounds the files of an index: of a folder that has more, all are read each time.
	maxIndexed = 1 << 20
)

// Stat is what tells whether a file has changed. Of a folder it is zero but for Dir.
type Stat struct {
	Dir          bool   `json:"d,omitempty"`
	Size         int64  `json:"s,omitempty"`
	Mtime, Ctime int64  // nanoseconds since 1970
	Inode        uint64 `json:"i,omitempty"`
}

func statOf(info fs.FileInfo) Stat {
	if info.IsDir() {
		return Stat{Dir: true}
	}
	s := Stat{Size: info.Size(), Mtime: info.ModTime().UnixNano()}
	s.Inode, s.Ctime = identity(info)
	return s
}

// Racy reports whether files may have changed after they were read without showing it.
func (x Index) Racy() bool {
	for _, s := range x.Files {
		if x.racy(s) {
			return true
		}
	}
	return false
}

// Index describes a folder as it was when a root was made of it. The zero value knows nothing.
type Index struct {
	Root string // the CID
	How  string // whatever else decides about the CID
	// Began is when reading it began; Slack is how much older the times of a file must be that is not read again.
	Began time.Time
	Slack time.Duration
	Files map[string]Stat // by path below the folder, which may be called something else meanwhile
}

// below is the path of an entry below the folder.
func below(path string) string {
	_, path, _ = strings.Cut(path, "/")
	return path
}

// LoadIndex reads an index; one that is missing or cannot be read knows nothing.
func LoadIndex(file string) Index {
	var x Index
	b, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(b, &x) != nil {
		return Index{}
	}
	return x
}

// Save writes an index. One that is too large is removed.
func (x Index) Save(file string) error {
	if len(x.Files) > maxIndexed {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	b, err := json.Marshal(x)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return durable.Replace(file, b, 0o600)
}

// Knows reports whether a file is as it was, for [folder.Options].Known.
func (x Index) Knows(path string, info fs.FileInfo) bool {
	was, ok := x.Files[below(path)]
	return ok && was == statOf(info) && !x.racy(was)
}

// racy reports whether a file may have changed after it was read without showing it.
func (x Index) racy(s Stat) bool {
	before := x.Began.Add(-x.Slack).UnixNano()
	return !s.Dir && (s.Mtime >= before || s.Ctime >= before)
}

// A Reading collects the index of a folder while it is read.
type Reading struct{ x Index }

// Read begins the index of a folder that is about to be read.
func Read(dir, how string) *Reading {
	r := &Reading{Index{How: how, Began: time.Now(), Slack: racy, Files: make(map[string]Stat)}}
	if mountOf(dir).elsewhere {
		r.x.Slack = racyElsewhere
	}
	return r
}

// Note notes an entry that was read, or that was known.
func (r *Reading) Note(e folder.Entry) {
	if e.Info != nil && len(r.x.Files) <= maxIndexed {
		r.x.Files[below(e.Path)] = statOf(e.Info)
	}
}

// Index returns the index with the root that was made.
func (r *Reading) Index(root string) Index {
	r.x.Root = root
	return r.x
}

// Changes are the paths, below the folder, of files and folders that differ from an index.
type Changes struct{ Added, Changed, Removed []string }

// None reports whether nothing differs.
func (c Changes) None() bool { return len(c.Added)+len(c.Changed)+len(c.Removed) == 0 }

// Empties reports whether nothing of what an index has is left, and nothing else is there.
func (c Changes) Empties(x Index) bool {
	_, root := x.Files[""]
	have := len(x.Files)
	if root {
		have--
	}
	return have > 0 && len(c.Removed) == have && len(c.Added) == 0
}

// Len is how many differ.
func (c Changes) Len() int { return len(c.Added) + len(c.Changed) + len(c.Removed) }

// Changes compares the folder with the index, without reading files. With exact, files that may have changed without
// showing it count as changed, too.
func (x Index) Changes(dir string, o folder.Options, exact bool) (Changes, error) {
	var c Changes
	seen := 0
	o.Known = func(string, fs.FileInfo) bool { return true }
	for e, err := range folder.Walk(dir, o) {
		if err != nil {
			return Changes{}, err
		}
		if e.Info == nil {
			continue
		}
		path := below(e.Path)
		was, ok := x.Files[path]
		switch {
		case !ok:
			c.Added = append(c.Added, path)
			continue
		case was != statOf(e.Info), exact && x.racy(was):
			c.Changed = append(c.Changed, path)
		}
		seen++
	}
	if seen == len(x.Files) {
		return c, nil
	}
	here := make(map[string]bool, seen)
	for e, err := range folder.Walk(dir, o) {
		if err != nil {
			return Changes{}, err
		}
		here[below(e.Path)] = true
	}
	for _, path := range slices.Sorted(maps.Keys(x.Files)) {
		if !here[path] {
			c.Removed = append(c.Removed, path)
		}
	}
	return c, nil
}
