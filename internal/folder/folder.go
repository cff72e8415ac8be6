// Package folder reads files and folders of the file system for an import: which files are included, which are left
// out, and where symbolic links lead.
package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// maxFollowed bounds the symbolic links followed in one walk: links to folders that contain such links would
	// multiply without end.
	maxFollowed = 10_000
	// maxDepth bounds the nesting of folders.
	maxDepth = 1024
)

// wellKnown is the hidden folder that belongs to a site (RFC 8615).
const wellKnown = ".well-known"

// Entry is a file, a folder or a symbolic link.
type Entry struct {
	// Path, with slashes, begins with the name of the walked file or folder.
	Path string
	// Mode is the type, 0, fs.ModeDir or fs.ModeSymlink, and the permissions.
	Mode fs.FileMode
	// ModTime is when the entry was changed.
	ModTime time.Time
	// Content is the content of a file. Read it before the next entry; it ends with an error if the file changes
	// meanwhile.
	Content io.Reader
	// Target is the target of a symbolic link.
	Target string
	// Info describes a file as it was when it was opened, or a folder, with links followed. nil for a link.
	Info fs.FileInfo
	// Known says that [Options].Known knew the file: it has no Content.
	Known bool
}

// ErrChanged means that a file was written to while it was read: what was read may be part old and part new.
var ErrChanged = errors.New("changed while it was read; try again when nobody writes to it")

// Links says how symbolic links are handled.
type Links int

const (
	KeepLinks   Links = iota // links are kept
	FollowLinks              // links are replaced by their targets; a broken link is an error
	// FollowWithin is FollowLinks for links that stay inside the folder. A broken link, or one to a folder that
	// contains it, is left out; a link out of the folder is an error.
	FollowWithin
)

// Options say what is included from a folder. The zero value includes what Kubo adds.
type Options struct {
	Hidden    bool // names that begin with a dot
	WellKnown bool // .well-known, even if Hidden is not set
	Links     Links
	// LeftOut is called for each path that is left out, with the reason. nil: not called.
	LeftOut func(path, why string)
	// Ignore returns why something in a folder is left out, by its path below the folder that is walked; "": it is not.
	// nil: nothing is.
	Ignore func(path string, isDir bool) (why string)
	// Known reports whether a file need not be read. It is yielded with Known and without Content. nil: all are read.
	Known func(path string, info fs.FileInfo) bool
	// Check may reject a path of the file system, in which all links are resolved. nil: every path is accepted.
	Check func(path string) error
}

// Why something was left out.
const (
	Hidden  = "its name begins with a dot"
	Ignored = "a rule says to ignore it"
	Broken  = "a symbolic link to nothing"
	Looping = "a symbolic link to a folder that it is in"
)

// Walk yields the entry at name, called by its last element, and everything in it, each folder before its contents.
// Anything other than a file, a folder or a link is an error. It ends with the first error.
func Walk(name string, o Options) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		w := walker{Options: o, yield: yield}
		if err := w.walk(name); err != nil && !errors.Is(err, errStopped) {
			yield(Entry{}, err)
		}
	}
}

// errStopped ends a walk whose caller wants no more entries.
var errStopped = errors.New("consumer stopped")

type walker struct {
	Options
	yield    func(Entry, error) bool
	root     string   // the real path of the folder
	within   []string // the real paths of the folders being read
	followed int
}

func (w *walker) walk(name string) error {
	abs, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	info, err := os.Lstat(name)
	if err != nil {
		return err
	}
	// The last element is not resolved: it may be a link to keep.
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return err
	}
	real, as := filepath.Join(parent, filepath.Base(abs)), filepath.Base(abs)
	if info.Mode().Type() == fs.ModeSymlink && w.Links != KeepLinks {
		if real, err = filepath.EvalSymlinks(real); err != nil {
			return err
		}
		if info, err = os.Lstat(real); err != nil {
			return err
		}
	}
	w.root = real
	return w.visit(name, real, as, info)
}

// visit yields the entry at the path at, and everything in it. real is the same path with all links resolved but the
// last element.
func (w *walker) visit(at, real, as string, info fs.FileInfo) error {
	if w.Check != nil {
		if err := w.Check(real); err != nil {
			return err
		}
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return w.readDir(at, real, as, info)
	case fs.ModeSymlink:
		return w.link(at, real, as, info)
	case 0:
		if w.Known != nil && w.Known(as, info) {
			return w.emit(Entry{Path: as, Mode: info.Mode(), ModTime: info.ModTime(), Info: info, Known: true})
		}
		f, err := open(at)
		if err != nil {
			return err
		}
		defer f.Close()
		return w.emit(Entry{Path: as, Mode: info.Mode(), ModTime: info.ModTime(), Content: f, Info: f.before})
	}
	return fmt.Errorf("unrecognized file type for %s: %s", at, info.Mode())
}

func (w *walker) emit(e Entry) error {
	if !w.yield(e, nil) {
		return errStopped
	}
	return nil
}

func (w *walker) readDir(at, real, as string, info fs.FileInfo) error {
	if len(w.within) == maxDepth {
		return fmt.Errorf("%.100s…: more than %d folders inside one another", at, maxDepth)
	}
	if err := w.emit(Entry{Path: as, Mode: info.Mode(), ModTime: info.ModTime(), Info: info}); err != nil {
		return err
	}
	list, err := os.ReadDir(at)
	if err != nil {
		return err
	}
	w.within = append(w.within, real)
	defer func() { w.within = w.within[:len(w.within)-1] }()
	for _, d := range list {
		name := d.Name()
		if strings.HasPrefix(name, ".") && !w.Hidden && !(w.WellKnown && name == wellKnown) {
			w.leaveOut(path.Join(as, name), Hidden)
			continue
		}
		if why := w.ignored(path.Join(as, name), w.isDir(at, d)); why != "" {
			w.leaveOut(path.Join(as, name), why)
			continue
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := w.visit(filepath.Join(at, name), filepath.Join(real, name), path.Join(as, name), info); err != nil {
			return err
		}
	}
	return nil
}

// isDir reports whether an entry of a folder is yielded as a folder.
func (w *walker) isDir(at string, d fs.DirEntry) bool {
	if d.Type() != fs.ModeSymlink || w.Links == KeepLinks || w.Ignore == nil {
		return d.IsDir()
	}
	info, err := os.Stat(filepath.Join(at, d.Name()))
	return err == nil && info.IsDir()
}

func (w *walker) ignored(as string, isDir bool) (why string) {
	if w.Ignore == nil {
		return ""
	}
	_, below, _ := strings.Cut(as, "/")
	return w.Ignore(below, isDir)
}

func (w *walker) leaveOut(path, why string) {
	if w.LeftOut != nil {
		w.LeftOut(path, why)
	}
}

// link keeps or follows a symbolic link.
func (w *walker) link(at, real, as string, info fs.FileInfo) error {
	target, err := os.Readlink(at)
	if err != nil {
		return err
	}
	if w.Links == KeepLinks {
		return w.emit(Entry{Path: as, Mode: info.Mode(), ModTime: info.ModTime(), Target: target})
	}
	if w.followed++; w.followed > maxFollowed {
		return fmt.Errorf("%s: more than %d symbolic links were followed", at, maxFollowed)
	}
	to, err := filepath.EvalSymlinks(real)
	if err != nil {
		if w.Links == FollowWithin && leadsNowhere(err) {
			w.leaveOut(as, Broken)
			return nil
		}
		return fmt.Errorf("follow the symbolic link %s: %w", at, err)
	}
	if w.Links == FollowWithin && !inside(to, w.root) {
		return fmt.Errorf("%s is a symbolic link out of the folder, to %s: copy what is there into the folder, or remove the link", at, to)
	}
	if info, err = os.Lstat(to); err != nil {
		return err
	}
	if info.IsDir() && slices.Contains(w.within, to) {
		if w.Links == FollowWithin {
			w.leaveOut(as, Looping)
			return nil
		}
		return fmt.Errorf("the symbolic link %s leads to a folder that it is in", at)
	}
	return w.visit(at, to, as, info)
}

// leadsNowhere reports whether a link, or one that it leads to, is broken or part of a loop.
func leadsNowhere(err error) bool {
	// filepath.EvalSymlinks returns an unnamed error for links that form a loop.
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) ||
		strings.HasSuffix(err.Error(), "too many links")
}

// inside reports whether a path is dir or inside it.
func inside(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator))
}

// file reads a file, and checks that it does not change meanwhile.
type file struct {
	f      *os.File
	before fs.FileInfo
	read   int64
}

func open(name string) (*file, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no longer a file", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{f: f, before: info}, nil
}

// Read returns an error instead of io.EOF if the file was written to since it was opened: the data may be part old and
// part new.
func (f *file) Read(b []byte) (int, error) {
	n, err := f.f.Read(b)
	f.read += int64(n)
	if err == io.EOF {
		after, e := f.f.Stat()
		if e != nil {
			return n, e
		}
		// If the file system reports no size, the file may be longer.
		if f.read < f.before.Size() || after.Size() != f.before.Size() || !after.ModTime().Equal(f.before.ModTime()) {
			err = fmt.Errorf("%s %w", f.f.Name(), ErrChanged)
		}
	}
	return n, err
}

func (f *file) Close() error { return f.f.Close() }
