//go:build unix

package transport

import "golang.org/x/sys/unix"

// rlimit is how many descriptors the process may have; 0 if that cannot be told.
func rlimit() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return int(min(l.Cur, 1<<30))
}
