// Package durable writes small files that survive a crash: a file has either its old or
// its new content, never a mixture, and is on disk when the call returns.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TempPrefix starts the names of unfinished files. One that no process is writing was
// left by a crash.
const TempPrefix = ".tmp-"

// maxTempName bounds how much of a file's name is repeated in its temporary name, which
// must fit into the 255 bytes that file systems allow.
const maxTempName = 64

// Replace writes a file and replaces the one at path, if any.
func Replace(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, os.Rename)
}

// Create writes a file, or returns [fs.ErrExist] if there is one at path.
func Create(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, os.Link) // a link, unlike a rename, never replaces a file
}

// write writes a temporary file and calls place to put it at path.
func write(path string, data []byte, perm fs.FileMode, place func(from, to string) error) error {
	dir, base := filepath.Split(path)
	dir = filepath.Clean(dir)
	base = strings.ToValidUTF8(base[:min(len(base), maxTempName)], "")
	f, err := os.CreateTemp(dir, TempPrefix+base+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails if it was renamed, which is fine
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// Clean removes the unfinished files that a crash left in a folder, except those for
// which keep returns true. No process may be writing there.
func Clean(dir string, keep func(base string) bool) error {
	left, err := filepath.Glob(filepath.Join(dir, TempPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if keep != nil && keep(filepath.Base(path)) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return SyncDir(dir)
}

// SyncDir makes renames, links and removals in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
