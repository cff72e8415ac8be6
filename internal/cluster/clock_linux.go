package cluster

import (
	"time"

	"golang.org/x/sys/unix"
)

// SinceBoot is a clock that nobody sets. It also counts the time for which the machine was
// asleep, as the monotonic clock does not.
func SinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Since(begun) // a kernel before 2.6.39
	}
	return time.Duration(t.Nano())
}

var begun = time.Now()
