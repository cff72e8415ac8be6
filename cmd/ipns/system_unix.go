//go:build unix

package main

import "syscall"

// restrictUmask lets no one else write the files of this process, whatever its umask was.
func restrictUmask() { syscall.Umask(syscall.Umask(0) | 0o022) }

// runAsService is for services of Windows.
func runAsService([]string) (code int, ok bool) { return 0, false }
