//go:build unix

package machine

import (
	"strconv"

	"golang.org/x/sys/unix"
)

func descriptors() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return unknownDescriptors
	}
	return int(min(uint64(l.Cur), 1<<30)) // signed on some systems
}

// DiskAt returns the disk that a path lies on.
func DiskAt(path string) (Disk, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(path, &disk); err != nil {
		return Disk{}, err
	}
	block := uint64(disk.Bsize)
	return Disk{
		Type: strconv.FormatInt(int64(disk.Type), 10),
		Free: uint64(max(disk.Bavail, 0)) * block, Total: uint64(disk.Blocks) * block,
	}, nil
}
