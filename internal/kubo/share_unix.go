//go:build unix

package kubo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// share takes a shared lock on a file that Kubo or Pebble would lock alone; ErrRunning if one
// has. It ends when the file is closed.
func share(f *os.File) error {
	err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_RDLCK, Whence: io.SeekStart})
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return ErrRunning
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}

// inUse reports whether a datastore could not be opened since Kubo has it.
func inUse(err error) bool { return errors.Is(err, syscall.EAGAIN) }
