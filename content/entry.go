package content

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// maxTarget bounds the target of a symbolic link, in bytes.
const maxTarget = 4096

// Entry is one file, directory or symbolic link to be added.
//
// Trees are sequences of entries, each directory followed by all that it holds. A directory that only shows up in the
// paths of others needs no entry of its own.
type Entry struct {
	// Path, with slashes, tells where in the tree the entry stands; its first element is the name of the root.
	// Empty: a file without a name, which is then called by its CID.
	Path string
	// Mode tells what the entry is: 0, fs.ModeDir or fs.ModeSymlink. Other bits are ignored.
	Mode fs.FileMode
	// Content is what a file holds. It is read before the next entry is asked for.
	Content io.Reader
	// Target is where a symbolic link points.
	Target string
}

// FromReader is a tree of one file.
func FromReader(name string, r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) { yield(Entry{Path: name, Content: r}, nil) }
}

// FromPath is the tree at name in the file system, called by its last element. Symbolic links are not followed.
// Unless hidden is set, names that begin with a dot are left out, name itself excepted.
// Something that is neither file, directory nor link is an error.
func FromPath(name string, hidden bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		abs, err := filepath.Abs(name)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		// The walk ends with fs.SkipAll when the consumer has enough; every other end is told to the consumer.
		err = filepath.WalkDir(name, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if p != name && !hidden && strings.HasPrefix(d.Name(), ".") {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			rel, err := filepath.Rel(name, p)
			if err != nil {
				return err
			}
			return yieldFile(p, path.Join(filepath.Base(abs), filepath.ToSlash(rel)), d.Type(), yield)
		})
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// yieldFile hands out what stands at file under the name as. It returns fs.SkipAll when the consumer stops.
func yieldFile(file, as string, mode fs.FileMode, yield func(Entry, error) bool) error {
	e := Entry{Path: as, Mode: mode}
	switch mode.Type() {
	case fs.ModeDir:
	case fs.ModeSymlink:
		target, err := os.Readlink(file)
		if err != nil {
			return err
		}
		e.Target = target
	case 0:
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		e.Content = f
	default:
		return fmt.Errorf("%s is neither a file nor a directory nor a symbolic link", file)
	}
	if !yield(e, nil) {
		return fs.SkipAll
	}
	return nil
}
