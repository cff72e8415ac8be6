// Package keystore keeps the private keys of a node, one file each, in the
// layout of Kubo: the file of the key "blog" is named key_ and the lower-case
// base32 of "blog", and holds a serialized PrivateKey.
//
// Invariants: a key file is written as a whole and is on disk when the call
// returns; none is ever replaced unless the caller asked for that; after a
// crash a key may be there under two names but never under none. Only the
// owner of the files can read them: they are not encrypted.
package keystore

import (
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
)

var (
	// ErrNotFound says that no key has the name.
	ErrNotFound = errors.New("no key by the given name was found")
	// ErrExist says that a key has the name already.
	ErrExist = errors.New("key by that name already exists, refusing to overwrite")
)

// maxKeyFile bounds what is read of a key file, in bytes. The largest key, RSA
// of 8192 bits, takes less than half.
const maxKeyFile = 16 << 10

// Store is a folder of keys. Concurrent use is safe, also by several processes.
type Store struct{ dir string }

// Open returns the store in a folder, which is made if it is missing.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the keystore: %w", err)
	}
	return &Store{dir: dir}, nil
}

var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// CheckName returns an error if a key cannot have the name: names have 1 to 128
// letters, digits, dots, hyphens and underscores.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("key name must be at least one character")
	case !validName.MatchString(name):
		return fmt.Errorf("key name %q: use 1 to 128 of the characters A-Z a-z 0-9 . _ -", name)
	}
	return nil
}

const filePrefix = "key_"

// fileNames are the names of key files: Kubo's encoding.
var fileNames = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func (s *Store) path(name string) string {
	return filepath.Join(s.dir, filePrefix+fileNames.EncodeToString([]byte(name)))
}

// Get returns a key, or [ErrNotFound].
func (s *Store) Get(name string) (crypto.PrivKey, error) {
	f, err := os.Open(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read key %q: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("read key %q: %w", name, err)
	}
	key, err := crypto.UnmarshalPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("read key %q from %s: %w", name, f.Name(), err)
	}
	return key, nil
}

// Put stores a new key. It returns [ErrExist] if the name is taken.
func (s *Store) Put(name string, key crypto.PrivKey) error {
	if err := CheckName(name); err != nil {
		return err
	}
	b, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return fmt.Errorf("store key %q: %w", name, err)
	}
	tmp, err := s.temp(b)
	if err != nil {
		return fmt.Errorf("store key %q: %w", name, err)
	}
	defer os.Remove(tmp)
	// A link, unlike a rename, never replaces a file.
	if err := os.Link(tmp, s.path(name)); errors.Is(err, fs.ErrExist) {
		return ErrExist
	} else if err != nil {
		return fmt.Errorf("store key %q: %w", name, err)
	}
	return s.sync()
}

// temp writes a file that nobody can change, and returns its path.
func (s *Store) temp(content []byte) (string, error) {
	f, err := os.CreateTemp(s.dir, ".tmp-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o400)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// Has reports whether a key has the name.
func (s *Store) Has(name string) bool {
	_, err := os.Stat(s.path(name))
	return err == nil
}

// List returns the names of all keys, sorted.
func (s *Store) List() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list the keys: %w", err)
	}
	var names []string
	for _, e := range entries {
		encoded, ok := strings.CutPrefix(e.Name(), filePrefix)
		if !ok {
			continue
		}
		name, err := fileNames.DecodeString(encoded)
		if err != nil {
			continue // not ours
		}
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names, nil
}

// Remove deletes a key for ever. It returns [ErrNotFound] if there is none.
func (s *Store) Remove(name string) error {
	err := os.Remove(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no key named %s was found", name)
	}
	if err != nil {
		return fmt.Errorf("remove key %q: %w", name, err)
	}
	return s.sync()
}

// Rename gives a key another name. If that is taken it returns [ErrExist], or
// with overwrite deletes the key that had it, and says so.
func (s *Store) Rename(name, to string, overwrite bool) (overwrote bool, err error) {
	if err := CheckName(to); err != nil {
		return false, err
	}
	if !s.Has(name) {
		return false, fmt.Errorf("no key named %s was found", name)
	}
	if name == to {
		return false, nil
	}
	if overwrite {
		overwrote = s.Has(to)
		err = os.Rename(s.path(name), s.path(to))
	} else if err = os.Link(s.path(name), s.path(to)); err == nil {
		// A crash here leaves the key under both names.
		err = os.Remove(s.path(name))
	}
	if errors.Is(err, fs.ErrExist) {
		return false, ErrExist
	}
	if err != nil {
		return false, fmt.Errorf("rename key %q to %q: %w", name, to, err)
	}
	return overwrote, s.sync()
}

func (s *Store) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
