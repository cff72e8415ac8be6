//go:build unix

package pebble

import (
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// identity returns the number of the file in its file system, which a copy does
// not share; 0 if there is none.
func identity(f vfs.File) uint64 {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}

// volume returns the number of the file system that a path lies on.
func volume(path string) (id uint64, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(st.Dev), true
}
