package postgres

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// boundUnanswered bounds how long sent bytes may stay unacknowledged, so that a server that
// vanished is noticed.
func boundUnanswered(network, _ string, c syscall.RawConn) (err error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil
	}
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unansweredLimit.Milliseconds()))
	}); e != nil {
		return e
	}
	return err
}
