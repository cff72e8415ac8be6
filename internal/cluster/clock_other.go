//go:build !linux

package cluster

import "time"

var begun = time.Now()

// SinceBoot is a clock that nobody sets. On this system it stands still while the machine is
// asleep: a daemon that wakes up may begin what it may no longer, until its next look at the
// store. Its swaps are refused by the store all the same.
func SinceBoot() time.Duration { return time.Since(begun) }
