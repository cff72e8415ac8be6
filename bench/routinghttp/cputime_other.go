//go:build !unix

package main

import "time"

var started = time.Now()

// cpuTime is the time that has passed: what the process has used is not known here.
func cpuTime() time.Duration { return time.Since(started) }
