//go:build !windows

package durable

import (
	"errors"
	"os"
	"syscall"
)

// SyncDir makes renames, links and removals in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// rename replaces what is at the new path.
func rename(from, to string) error { return os.Rename(from, to) }

// always are the bits that a mode has whatever is asked for.
const always = 0

// give lets root give a file to the user who has the folder. Where that is not possible, the
// file stays root's.
func give(f *os.File, dir string) {
	if os.Geteuid() != 0 {
		return
	}
	info, err := os.Stat(dir)
	if err != nil {
		return
	}
	if of, ok := info.Sys().(*syscall.Stat_t); ok && of.Uid != 0 {
		_ = f.Chown(int(of.Uid), int(of.Gid))
	}
}
