package repo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// WriteSites replaces the repo's sites.
func (r Repo) WriteSites(s Sites) error {
	b, err := marshal(s)
	if err != nil {
		return err
	}
	return WriteFile(r.path(sitesFile), b, 0o600)
}
