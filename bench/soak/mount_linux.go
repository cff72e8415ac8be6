package main

import (
	"fmt"
	"syscall"
)

// mount mounts a disk of so many MB in memory; false: it may not.
func mount(dir string, size int) bool {
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", size)) == nil
}

func unmount(dir string) error { return syscall.Unmount(dir, 0) }
