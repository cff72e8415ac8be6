package pebble

import (
	"errors"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskFS is a file system on which writes wait for space. Operations that only save
// time, such as preallocation, do not wait.
type diskFS struct {
	vfs.FS
	disk *Disk
}

func (f diskFS) Unwrap() vfs.FS { return f.FS }

func (f diskFS) file(open func() (vfs.File, error)) (file vfs.File, err error) {
	err = f.disk.retry(func() error { file, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return diskFile{File: file, disk: f.disk}, nil
}

func (f diskFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.file(func() (vfs.File, error) { return f.FS.Create(name, c) })
	f.opened(name, file, err)
	return file, err
}

// opened records the log to which the database now writes.
func (f diskFS) opened(name string, file vfs.File, err error) {
	if err == nil && strings.HasSuffix(name, logSuffix) {
		f.disk.setLog(name, identity(file))
	}
}

func (f diskFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

// ReuseForWrite writes over an old log, so that the file does not grow at every sync.
// If there is no space for that, it creates a new one.
func (f diskFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, c)
	if err == nil {
		f.opened(newname, file, nil)
		return diskFile{File: file, disk: f.disk}, nil
	}
	if !isFull(err) {
		return nil, err
	}
	if err := f.FS.Remove(oldname); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return f.Create(newname, c)
}

func (f diskFS) Link(oldname, newname string) error {
	return f.disk.retry(func() error { return f.FS.Link(oldname, newname) })
}

func (f diskFS) Rename(oldname, newname string) error {
	return f.disk.retry(func() error { return f.FS.Rename(oldname, newname) })
}

func (f diskFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.disk.retry(func() error { return f.FS.MkdirAll(dir, perm) })
}

// diskFile is a file whose writes wait for space.
type diskFile struct {
	vfs.File
	disk *Disk
}

func (f diskFile) Write(p []byte) (n int, err error) {
	err = f.disk.retry(func() error {
		m, err := f.File.Write(p[n:]) // what was written stays written
		n += m
		return err
	})
	return n, err
}

func (f diskFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.disk.retry(func() error {
		m, err := f.File.WriteAt(p[n:], off+int64(n))
		n += m
		return err
	})
	return n, err
}
