//go:build !linux

package postgres

import "syscall"

// boundUnanswered does nothing: keep-alive notices a server that vanished.
func boundUnanswered(string, string, syscall.RawConn) error { return nil }
