package repo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Sites tells which folder each key publishes: key name to absolute path.
type Sites map[string]string

// Sites reads the repo's sites; no file means none.
func (r Repo) Sites() (Sites, error) {
	b, err := os.ReadFile(r.path(sitesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Sites{}, nil
	}
	if err != nil {
		return nil, err
	}
	var s Sites
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("read %s: %w", r.path(sitesFile), err)
	}
	return s, nil
}

// SetSite notes that a key publishes a folder. If the key publishes another one,
// nothing is changed: ok is false, and now is that one. Processes that do this at
// once wait for each other: the daemon holds repo.lock, so there is a lock of its own.
func (r Repo) SetSite(key, dir string) (now string, ok bool, err error) {
	lock, err := os.OpenFile(r.path(sitesLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", false, err
	}
	defer lock.Close() // which gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", false, fmt.Errorf("lock %s: %w", r.path(sitesLock), err)
	}
	s, err := r.Sites()
	if err != nil {
		return "", false, err
	}
	if now, known := s[key]; known {
		return now, now == dir, nil
	}
	s[key] = dir
	b, err := marshal(s)
	if err != nil {
		return "", false, err
	}
	return dir, true, WriteFile(r.path(sitesFile), b, 0o600)
}
