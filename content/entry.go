package content

import (
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/goipns/ipns/internal/folder"
)

// maxTarget bounds the target of a symbolic link, in bytes.
const maxTarget = 4096

// Entry is one file, directory or symbolic link to be added.
//
// A tree is a sequence of entries, each directory followed by its contents. A directory that appears only in the paths
// of others needs no entry of its own.
type Entry struct {
	// Path is the entry's place in the tree, with slashes; its first element is the name of the root. Empty: a file
	// without a name, which is called by its CID.
	Path string
	// Mode is the type of the entry, 0, fs.ModeDir or fs.ModeSymlink, and its permissions, which are ignored unless
	// [AddOptions] ask for them.
	Mode fs.FileMode
	// ModTime is when the entry was changed; also ignored unless asked for.
	ModTime time.Time
	// Content is the content of a file. It is read before the next entry is requested.
	Content io.Reader
	// Target is the target of a symbolic link.
	Target string
	// Unchanged is a file that is the same in [AddOptions.Base], from which it is taken. It has no Content, and is not
	// yielded.
	Unchanged bool
}

// FromReader returns a tree of one file.
func FromReader(name string, r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) { yield(Entry{Path: name, Content: r}, nil) }
}

// FromPath returns the tree at name in the file system, named by its last element. Symbolic links are not followed.
// Unless hidden is set, names that begin with a dot are skipped, except name itself. Anything other than a file, a
// directory or a link is an error, and so is a file that changes while it is read.
func FromPath(name string, hidden bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range folder.Walk(name, folder.Options{Hidden: hidden}) {
			if !yield(Entry{Path: e.Path, Mode: e.Mode, ModTime: e.ModTime, Content: e.Content, Target: e.Target}, err) || err != nil {
				return
			}
		}
	}
}
