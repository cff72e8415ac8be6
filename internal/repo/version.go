package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Version is the layout of a repo that this program writes. It opens those of all versions
// before, and makes them this one.
const Version = 2

// FirstVersion is the oldest.
const FirstVersion = 1

// changes says, for each version after the first, what programs that know only the ones
// before would miss.
var changes = map[int]string{
	2: "blocks may rest in packs, names in a database elsewhere, and keys be encrypted",
}

// ErrNewer means that a newer program wrote the repo. Nothing in it is changed.
var ErrNewer = errors.New("written by a newer version of this program")

// Changes says what is new in the versions after one.
func Changes(after int) string {
	var list []string
	for v := after + 1; v <= Version; v++ {
		list = append(list, changes[v])
	}
	return strings.Join(list, "; ")
}

// Number returns the version of the repo, or [ErrNewer].
func (r Repo) Number() (int, error) {
	b, err := os.ReadFile(r.path(versionFile))
	if err != nil {
		return 0, fmt.Errorf("read the repo's version: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if _, err := os.Lstat(r.path(kubosSpec)); err == nil {
		return 0, fmt.Errorf("%s is %w (version %s)", string(r), ErrKubo, text)
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < FirstVersion:
		return 0, fmt.Errorf("%s is a repo of version %q, which never was one; this program reads versions %d to %d", string(r), text, FirstVersion, Version)
	case n > Version:
		return 0, fmt.Errorf("%s is a repo of version %d, %w; this one reads versions %d to %d", string(r), n, ErrNewer, FirstVersion, Version)
	}
	return n, nil
}

// readable returns an error if there is a repo of which this program must change nothing.
func (r Repo) readable() error {
	_, err := r.Number()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // none, or a restore is putting one here
	case err != nil && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrKubo) && !r.Exists():
		return nil // a crash left half of one, and of its version
	}
	return err
}

// SetVersion makes an older version of the repo a newer one or, once nothing in it needs
// the newer one any more, the other way round. Hold the lock.
func (r Repo) SetVersion(n int) error {
	// It is written in place: one byte is written or not, and on a full disk, too.
	f, err := os.OpenFile(r.path(versionFile), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write the repo's version: %w", err)
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(n)+"\n"), 0)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the repo's version: %w", err)
	}
	return nil
}

// upgrade makes an older repo one of this [Version], and returns which it was; 0: nothing
// was changed. What older versions wrote is read as it is, so that a crash leaves the one or
// the other. Hold the lock.
func (r Repo) upgrade() (from int, err error) {
	if !r.Exists() {
		return 0, nil
	}
	n, err := r.Number()
	if err != nil || n == Version {
		return 0, err
	}
	err = r.SetVersion(Version)
	if errors.Is(err, syscall.EROFS) {
		return 0, nil // nothing that is newer can be written either
	}
	return n, err
}
