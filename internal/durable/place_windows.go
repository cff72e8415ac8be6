package durable

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// SyncDir does nothing: Windows writes folders by itself, and cannot be asked to.
func SyncDir(string) error { return nil }

// While another process reads a file, such as a virus scanner, it cannot be replaced.
const (
	renameWait  = 2 * time.Second
	renameAgain = 10 * time.Millisecond
)

// rename replaces what is at the new path, and returns when that is on disk.
func rename(from, to string) error {
	old, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	place, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	for end := time.Now().Add(renameWait); ; time.Sleep(renameAgain) {
		err := windows.MoveFileEx(old, place, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
		if err == nil {
			return nil
		}
		busy := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !busy || time.Now().After(end) {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
		}
	}
}

// always are the bits that a mode has whatever is asked for: without the right to write,
// Windows lets nobody replace or remove a file.
const always = 0o200

// give does nothing: what a file inherits from its folder says who may read it.
func give(*os.File, string) {}
