package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goipns/ipns/internal/durable"
)

// The folders of a restore, in the repo that it fills. Renames alone say how far it has
// come, so that a repo may be a mount point, and a crash at any moment leaves either what
// was there or what was restored.
const (
	restoringDir = "restoring"       // is built; means nothing
	restoredDir  = "restored"        // is complete: what else is in the repo leaves it
	arrivingDir  = "restored.in"     // and its files take the place
	leavingDir   = "restored.before" // what was there
	beforeDir    = "before-restore-" // the same afterwards, with a number
)

// rename is replaced by tests of a crash.
var rename = os.Rename

// Restoring makes the folder in which a restore builds the repo that is to take the place
// of this one. Hold the lock: the next one who has it without [Repo.Restored] removes it.
func (r Repo) Restoring() (Repo, error) {
	if err := r.movable(); err != nil {
		return "", err
	}
	to := Repo(r.path(restoringDir))
	if err := os.RemoveAll(string(to)); err != nil {
		return "", err
	}
	if err := os.Mkdir(string(to), 0o700); err != nil {
		return "", err
	}
	if err := to.Make(); err != nil {
		return "", err
	}
	return to, durable.Replace(to.path(versionFile), []byte(strconv.Itoa(Version)+"\n"), 0o644)
}

// movable returns an error if a file of the repo cannot be moved in it, which must not be
// found out halfway.
func (r Repo) movable() error {
	device := func(path string) (uint64, error) {
		info, err := os.Lstat(path)
		if err != nil {
			return 0, err
		}
		return deviceOf(info), nil
	}
	own, err := device(string(r))
	if err != nil {
		return err
	}
	files, err := r.leaving()
	if err != nil {
		return err
	}
	for _, name := range files {
		if dev, err := device(r.path(name)); err != nil {
			return err
		} else if dev != own {
			return fmt.Errorf("%s lies on another disk, and cannot be replaced: restore into another folder", r.path(name))
		}
	}
	return nil
}

// leaving returns what a restore replaces: everything but locks and what restores have
// made.
func (r Repo) leaving() (files []string, err error) {
	entries, err := os.ReadDir(string(r))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := e.Name()
		if slices.Contains([]string{lockFile, sitesLock, restoringDir, restoredDir, arrivingDir, leavingDir}, name) || strings.HasPrefix(name, beforeDir) {
			continue
		}
		files = append(files, name)
	}
	return files, nil
}

// Restored makes what was built in [Repo.Restoring] the repo, and returns the folder with
// what was there before; "": nothing was. Hold the lock.
func (r Repo) Restored() (before string, err error) {
	if err := syncTree(r.path(restoringDir)); err != nil {
		return "", fmt.Errorf("write what was restored: %w", err)
	}
	// A crash before this rename is on disk leaves what was there; after it, who locks the
	// repo next does the rest.
	if err := rename(r.path(restoringDir), r.path(restoredDir)); err != nil {
		return "", err
	}
	if err := durable.SyncDir(string(r)); err != nil {
		return "", err
	}
	return r.settle()
}

// settle completes or removes what a restore has left. Hold the lock.
func (r Repo) settle() (before string, err error) {
	if r.has(restoredDir) {
		if err := r.leave(); err != nil {
			return "", fmt.Errorf("complete the restore of %s: %w", string(r), err)
		}
	}
	if r.has(arrivingDir) {
		if err := r.arrive(); err != nil {
			return "", fmt.Errorf("complete the restore of %s: %w", string(r), err)
		}
	}
	if r.has(leavingDir) {
		if before, err = r.keep(); err != nil {
			return "", fmt.Errorf("complete the restore of %s: %w", string(r), err)
		}
	}
	r.Abandon()
	return before, nil
}

// Abandon removes what was built in [Repo.Restoring]. What stays of it means nothing. Hold
// the lock.
func (r Repo) Abandon() { _ = os.RemoveAll(r.path(restoringDir)) }

// leave moves aside what was there.
func (r Repo) leave() error {
	if err := os.Mkdir(r.path(leavingDir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	files, err := r.leaving()
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := rename(r.path(name), filepath.Join(r.path(leavingDir), name)); err != nil {
			return err
		}
	}
	if err := errors.Join(durable.SyncDir(r.path(leavingDir)), durable.SyncDir(string(r))); err != nil {
		return err
	}
	// From here on files beside the folder are those that were restored.
	if err := rename(r.path(restoredDir), r.path(arrivingDir)); err != nil {
		return err
	}
	return durable.SyncDir(string(r))
}

// arrive moves in what was restored, the config last: without it there is no repo.
func (r Repo) arrive() error {
	from := Repo(r.path(arrivingDir))
	entries, err := os.ReadDir(string(from))
	if err != nil {
		return err
	}
	names := []string{}
	for _, e := range entries {
		if e.Name() != configFile {
			names = append(names, e.Name())
		}
	}
	if from.has(configFile) {
		names = append(names, configFile)
	}
	for _, name := range names {
		if err := rename(from.path(name), r.path(name)); err != nil {
			return err
		}
	}
	if err := durable.SyncDir(string(r)); err != nil {
		return err
	}
	if err := os.Remove(string(from)); err != nil {
		return err
	}
	return durable.SyncDir(string(r))
}

// maxBefore bounds how many folders of earlier restores are kept.
const maxBefore = 1000

// keep gives what was there its last name.
func (r Repo) keep() (before string, err error) {
	if os.Remove(r.path(leavingDir)) == nil {
		return "", nil // it was empty
	}
	for i := 1; i <= maxBefore; i++ {
		before = r.path(fmt.Sprintf("%s%d", beforeDir, i))
		if _, err := os.Lstat(before); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := rename(r.path(leavingDir), before); err != nil {
			return "", err
		}
		return before, durable.SyncDir(string(r))
	}
	return "", fmt.Errorf("%d earlier restores are kept in it: remove some", maxBefore)
}

func (r Repo) has(name string) bool {
	_, err := os.Lstat(r.path(name))
	return err == nil
}

// settleIfFree completes a restore that a crash has cut short, for a process that does not
// lock the repo. Where another has the lock, that one has completed it.
func (r Repo) settleIfFree() error {
	if !r.has(restoredDir) && !r.has(arrivingDir) {
		return nil
	}
	l, err := r.Lock()
	if errors.Is(err, ErrLocked) {
		return nil
	}
	return errors.Join(err, l.Unlock())
}

// syncTree makes the names of all files below a folder durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return durable.SyncDir(path)
	})
}
