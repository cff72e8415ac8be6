package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// unpack writes the files of a TAR archive, which strangers may have made: one file, link or folder, which is called as
// it is named here, with all else below it. A file goes into a folder that is there already. Nothing outside is
// written, and no link is followed, not even one of the archive itself. Files and links replace what has their names.
func unpack(r io.Reader, name string) error {
	if name == os.DevNull {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	archive := tar.NewReader(r)
	h, err := archive.Next()
	if err == io.EOF {
		return errors.New("the archive is empty")
	}
	if err != nil {
		return err
	}
	if !fs.ValidPath(h.Name) || strings.Contains(h.Name, "/") || h.Name == "." {
		return fmt.Errorf("the archive begins with %q: want one name", h.Name)
	}
	root := h.Name
	u := unpacking{archive: archive}
	if h.Typeflag != tar.TypeDir {
		if info, err := os.Lstat(name); err == nil && info.IsDir() {
			name = filepath.Join(name, root)
		}
		return u.alone(h, name)
	}
	if err := os.MkdirAll(name, 0o755); err != nil {
		return err
	}
	if info, err := os.Lstat(name); err != nil || !info.IsDir() {
		return errors.Join(err, fmt.Errorf("%s is a link: not followed", name))
	}
	if u.to, err = os.OpenRoot(name); err != nil {
		return err
	}
	defer u.to.Close()
	u.dirs = append(u.dirs, dirTime{".", h})
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return u.finish()
		}
		if err != nil {
			return err
		}
		below, ok := strings.CutPrefix(h.Name, root+"/")
		if !ok || !fs.ValidPath(below) || below == "." {
			return fmt.Errorf("the archive has %q, which is not below %q", h.Name, root)
		}
		if err := u.entry(h, below); err != nil {
			return err
		}
	}
}

// unpacking writes an archive into a folder.
type unpacking struct {
	archive *tar.Reader
	to      *os.Root
	dirs    []dirTime // whose modes and times are set at the end, when nothing more is written to them
}

type dirTime struct {
	name string
	h    *tar.Header
}

// alone writes the only entry of an archive.
func (u *unpacking) alone(h *tar.Header, name string) error {
	to, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	u.to = to
	err = errors.Join(u.entry(h, filepath.Base(name)), to.Close())
	if err != nil {
		return err
	}
	if _, err := u.archive.Next(); err != io.EOF {
		return errors.Join(err, errors.New("the archive has more than one file and no folder around them"))
	}
	return nil
}

// entry writes one entry.
func (u *unpacking) entry(h *tar.Header, name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if info, err := u.to.Lstat(dir); err != nil || !info.IsDir() {
			return errors.Join(err, fmt.Errorf("%s is not in a folder", name))
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := u.to.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if info, err := u.to.Lstat(name); err != nil || !info.IsDir() {
			return errors.Join(err, fmt.Errorf("%s is there and is no folder", name))
		}
		u.dirs = append(u.dirs, dirTime{name, h})
		return nil
	case tar.TypeSymlink:
		if err := u.remove(name); err != nil {
			return err
		}
		return u.to.Symlink(h.Linkname, name)
	case tar.TypeReg:
		return u.file(h, name)
	}
	return fmt.Errorf("%s is neither a file nor a folder nor a link", h.Name)
}

func (u *unpacking) remove(name string) error {
	if err := u.to.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (u *unpacking) file(h *tar.Header, name string) error {
	if err := u.remove(name); err != nil {
		return err
	}
	f, err := u.to.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, u.archive)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return u.meta(h, name)
}

// meta sets the mode and time of a file or folder.
func (u *unpacking) meta(h *tar.Header, name string) error {
	if err := u.to.Chmod(name, h.FileInfo().Mode().Perm()); err != nil {
		return err
	}
	return u.to.Chtimes(name, time.Time{}, h.ModTime)
}

func (u *unpacking) finish() error {
	for _, d := range slices.Backward(u.dirs) {
		if err := u.meta(d.h, d.name); err != nil {
			return err
		}
	}
	return nil
}
