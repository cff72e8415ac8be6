package filelock

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// Lock waits until nobody else has the lock, and takes it.
func Lock(f *os.File) error { return lock(f, 0) }

// Unlock ends the lock, before the file is closed.
func Unlock(f *os.File) error {
	at := lockedAt
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &at)
}

// TryLock takes the lock unless somebody else has it.
func TryLock(f *os.File) (ok bool, err error) {
	err = lock(f, windows.LOCKFILE_FAIL_IMMEDIATELY)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// lockedAt is behind all bytes that a file can have: others could neither read nor write one
// that is locked.
var lockedAt = windows.Overlapped{Offset: math.MaxUint32, OffsetHigh: math.MaxInt32}

// lock locks the byte there.
func lock(f *os.File, flags uint32) error {
	at := lockedAt
	return windows.LockFileEx(windows.Handle(f.Fd()), flags|windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &at)
}
