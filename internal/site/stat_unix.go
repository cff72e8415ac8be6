//go:build unix && !linux

package site

import (
	"io/fs"
	"syscall"
)

// identity returns the inode of a file. When it was changed is not read here: size, time and
// inode have to do.
func identity(info fs.FileInfo) (inode uint64, changed int64) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Ino), 0 //nolint:unconvert // its type differs between systems
	}
	return 0, 0
}
