package content

import (
	"io"
	"io/fs"
	"iter"

	"github.com/goipns/ipns/internal/folder"
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
// Something that is neither file, directory nor link is an error, and so is a file that changes while it is read.
func FromPath(name string, hidden bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range folder.Walk(name, folder.Options{Hidden: hidden}) {
			if !yield(Entry(e), err) || err != nil {
				return
			}
		}
	}
}
