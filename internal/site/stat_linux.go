package site

import "syscall"

// changeTime is when the inode was changed.
func changeTime(s *syscall.Stat_t) int64 { return s.Ctim.Nano() }
