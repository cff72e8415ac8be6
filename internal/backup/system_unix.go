//go:build unix

package backup

import "syscall"

const (
	noFollow = syscall.O_NOFOLLOW // a link is not opened
	// closeFirst says that a file that is open can be neither renamed nor removed.
	closeFirst = false
)
