// Package kubo reads the repo of a Kubo node: its keys, records, pins, blocks and config. It
// also writes keys and records into one, see [Export].
//
// A [Repo] is open only while no Kubo uses it, and none can start on its datastore before
// Close. Reading changes nothing in it: no file is created, none is written, not even when
// the datastore has a log that a killed daemon left.
//
// What it holds was written by a program of others and may be damaged: records are verified,
// blocks are compared with their CIDs, and what cannot be read is an error that names it.
package kubo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The versions of Kubo's repo that are read: before OldestVersion, blocks had other keys.
const (
	OldestVersion = 12 // Kubo 0.12
	NewestVersion = 18 // Kubo 0.43
)

// maxConfig bounds the bytes read of a config.
const maxConfig = 4 << 20

var (
	// ErrNotKubo means that a folder holds no Kubo repo.
	ErrNotKubo = errors.New("no Kubo repo here")
	// ErrRunning means that a Kubo uses the repo.
	ErrRunning = errors.New("Kubo is running on it: stop it with 'ipfs shutdown' first, for two nodes must not sign with one key") //lint:ignore ST1005 a name
	// ErrPrivate means that the repo is of a private network.
	ErrPrivate = errors.New("it is of a private network (swarm.key), and a move would announce its names to the public; for a node on that network put swarm.key into a repo of 'ipns init', and take each key by 'ipfs key export' and 'ipns key import'")
	// ErrBadger means that the repo has a datastore that cannot be read here.
	ErrBadger = errors.New(`its datastore is badger, which only Kubo reads. Let Kubo move it: make a new repo with 'IPFS_PATH=NEW ipfs init'; ` +
		`copy the folder keystore and, from the file config, the Identity to it; carry the content over with 'ipfs dag export' and 'ipfs dag import'. ` +
		`Then take NEW; the network knows the sequences`)
)

// Repo is an open repo of Kubo.
type Repo struct {
	Path    string
	Version int

	config   map[string]any
	lock     *os.File // nil: Kubo was ended properly
	mounts   []mount
	writable bool
}

// Is reports whether a folder looks like the repo of a Kubo node.
func Is(path string) bool {
	c, err := readConfig(path)
	return err == nil && hasSpec(path) && lookup(c, "Datastore", "Spec") != nil
}

// DefaultPath returns $IPFS_PATH, or .ipfs in the home directory.
func DefaultPath() (string, error) {
	if p := os.Getenv("IPFS_PATH"); p != "" {
		return p, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the Kubo repo: %w; set IPFS_PATH", err)
	}
	return filepath.Join(home, ".ipfs"), nil
}

// Open opens the repo in a folder for reading.
func Open(path string) (*Repo, error) { return open(path, false) }

func open(path string, writable bool) (r *Repo, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open the Kubo repo %s: %w", path, err)
		}
	}()
	r = &Repo{Path: path, writable: writable}
	if r.config, err = readConfig(path); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotKubo
	} else if err != nil {
		return nil, err
	}
	if r.Version, err = readVersion(path); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(path, "swarm.key")); err == nil {
		return nil, ErrPrivate
	}
	if err := r.hold(); err != nil {
		return nil, err
	}
	if err := r.mount(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close lets Kubo start again.
func (r *Repo) Close() error {
	var errs []error
	for _, m := range r.mounts {
		errs = append(errs, m.store.close())
	}
	r.mounts = nil
	if r.lock != nil {
		errs = append(errs, r.lock.Close())
	}
	return errors.Join(errs...)
}

func readConfig(path string) (map[string]any, error) {
	f, err := os.Open(filepath.Join(path, "config"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return nil, fmt.Errorf("read its config: %w", err)
	}
	return parseConfig(b)
}

func parseConfig(b []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // keeps numbers unchanged
	var c map[string]any
	if err := dec.Decode(&c); err != nil {
		return nil, fmt.Errorf("read its config: %w", err)
	}
	return c, nil
}

func readVersion(path string) (int, error) {
	b, err := os.ReadFile(filepath.Join(path, "version"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrNotKubo
	}
	if err != nil {
		return 0, err
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	switch {
	case err != nil:
		return 0, fmt.Errorf("its version %q is not a number", strings.TrimSpace(string(b)))
	case v < OldestVersion && !hasSpec(path):
		return 0, ErrNotKubo // a repo of ipns
	case v < OldestVersion:
		return 0, fmt.Errorf("it has version %d, older than %d: start a newer Kubo on it once, which brings it up to date", v, OldestVersion)
	case v > NewestVersion:
		return 0, fmt.Errorf("it has version %d, newer than %d, which is the last that this program knows", v, NewestVersion)
	}
	return v, nil
}

// hasSpec reports whether a folder has the file by which Kubo knows its datastore.
func hasSpec(path string) bool {
	_, err := os.Stat(filepath.Join(path, "datastore_spec"))
	return err == nil
}

// hold takes a shared lock on Kubo's lock file, with which no Kubo starts. Kubo removes the
// file when it ends: without it, the lock of the datastore is what keeps Kubo away.
func (r *Repo) hold() error {
	f, err := os.Open(filepath.Join(r.Path, "repo.lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lock it: %w", err)
	}
	if err := share(f); err != nil {
		return errors.Join(err, f.Close())
	}
	r.lock = f
	return nil
}

// lookup returns a value of a config, or nil.
func lookup(tree map[string]any, keys ...string) any {
	var at any = tree
	for _, k := range keys {
		m, _ := at.(map[string]any) // other values have no keys
		at = m[k]
	}
	return at
}

// text returns a text in a config, or "".
func text(tree map[string]any, keys ...string) string {
	s, _ := lookup(tree, keys...).(string)
	return s
}
