package repo

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/goipns/ipns/internal/durable"
	"github.com/goipns/ipns/internal/filelock"
)

// Sites maps each key to the folder that it publishes: label to absolute path.
type Sites map[string]string

// Sites reads the repo's sites; a missing file means none.
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

// SiteIndex is the file that describes the folder of a key as it was published last.
func (r Repo) SiteIndex(key string) string {
	sum := sha256.Sum256([]byte(key)) // a label may be no name of a file
	return r.path(fmt.Sprintf("site-%x.json", sum[:8]))
}

// SetSite records that a key now publishes a folder, if mayTake accepts the folder recorded so far ("": none); else it
// changes nothing and ok is false. Concurrent processes wait for each other by a separate lock, since the daemon holds
// repo.lock.
func (r Repo) SetSite(key, dir string, mayTake func(before string) bool) (before string, ok bool, err error) {
	lock, err := os.OpenFile(r.path(sitesLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", false, err
	}
	defer lock.Close() // releases the lock
	if err := filelock.Lock(lock); err != nil {
		return "", false, fmt.Errorf("lock %s: %w", r.path(sitesLock), err)
	}
	s, err := r.Sites()
	if err != nil {
		return "", false, err
	}
	before = s[key]
	if !mayTake(before) {
		return before, false, nil
	}
	if before == dir {
		return before, true, nil
	}
	s[key] = dir
	b, err := marshal(s)
	if err != nil {
		return before, false, err
	}
	return before, true, durable.Replace(r.path(sitesFile), b, 0o600)
}
