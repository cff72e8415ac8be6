package kubo

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// share returns ErrRunning if Kubo uses the repo: then it has written into its lock file who
// it is, and removes the file when it ends. Nothing keeps one from starting later but that
// it cannot open a datastore that is open here.
func share(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", f.Name(), err)
	}
	if info.Size() > 0 {
		return ErrRunning
	}
	return nil
}

// inUse reports whether a datastore could not be opened since Kubo has it.
func inUse(err error) bool { return errors.Is(err, windows.ERROR_SHARING_VIOLATION) }
