//go:build unix

package pebble

import (
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
