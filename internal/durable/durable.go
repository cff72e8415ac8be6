// Package durable writes small files that survive a crash: a file has either its old or
// its new content, never a mixture, and is on disk when the call returns.
//
// What root writes into a folder of another user belongs to that user, whose daemon must be
// able to read it.
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
	return write(path, data, perm, give, rename)
}

// Create writes a file, or returns [fs.ErrExist] if there is one at path.
func Create(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, give, os.Link) // a link, unlike a rename, never replaces a file
}

// CreateOwn is Create, but the file belongs to the user of this process, whose secret it may
// be.
func CreateOwn(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, keep, os.Link)
}

// keep leaves a file to the user of this process.
func keep(*os.File, string) {}

// write writes a temporary file, calls give, and calls place to put it at path.
func write(path string, data []byte, perm fs.FileMode, give func(f *os.File, dir string), place func(from, to string) error) error {
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
		err = f.Chmod(perm | always)
	}
	if err == nil {
		give(f, dir)
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
