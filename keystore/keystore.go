// Package keystore keeps the private keys of a node, one file each, in the layout of
// Kubo: the file of the key "blog" is named key_ and the lower-case base32 of "blog",
// and holds a serialized PrivateKey. A [Keyring] finds keys by label, name or peer id,
// and signs with them.
//
// Invariants: a key file is written as a whole and is on disk when the call returns; it
// is replaced only if the caller asked for that; after a crash a key may exist under
// two labels but never under none. Only the owner of the files can read them: they are
// not encrypted.
package keystore

import (
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns/internal/durable"
)

var (
	// ErrNotFound means that there is no such key.
	ErrNotFound = errors.New("no key by the given name was found")
	// ErrExist means that the label is taken.
	ErrExist = errors.New("key by that name already exists, refusing to overwrite")
)

// notFound is [ErrNotFound] with Kubo's text.
type notFound string

func (n notFound) Error() string      { return string(n) }
func (notFound) Is(target error) bool { return target == ErrNotFound }

func noKeyNamed(name string) error {
	return notFound(fmt.Sprintf("no key named %s was found", name))
}

// maxKeyFile bounds the bytes read of a key file. The largest key, RSA with 8192 bits,
// takes less than half.
const maxKeyFile = 16 << 10

// Store is a folder of keys. It is safe for concurrent use, even by several processes.
type Store struct{ dir string }

// Open returns the store in a folder, which it creates if missing.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the keystore: %w", err)
	}
	return &Store{dir: dir}, nil
}

// maxNameLen is the longest label in bytes: its file name, in base32, fits into the 255
// bytes that file systems allow.
const maxNameLen = 156

// CheckName returns an error if a label is invalid. As in Kubo, any text of 1 to 156
// bytes is valid, except with control characters: other programs read labels line by
// line.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("key name must be at least one character")
	case len(name) > maxNameLen:
		return fmt.Errorf("key name of %d bytes: at most %d are possible", len(name), maxNameLen)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("key name %q contains control characters or is not valid UTF-8", name)
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

// Put stores a new key. It returns [ErrExist] if the label is taken.
func (s *Store) Put(name string, key crypto.PrivKey) error {
	if err := CheckName(name); err != nil {
		return err
	}
	b, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return fmt.Errorf("store key %q: %w", name, err)
	}
	if err := durable.Create(s.path(name), b, 0o400); errors.Is(err, fs.ErrExist) {
		return ErrExist
	} else if err != nil {
		return fmt.Errorf("store key %q: %w", name, err)
	}
	return nil
}

// Clean removes unfinished key files that a crash left behind. Nothing else may write
// meanwhile: call it with the lock of the repo held.
func (s *Store) Clean() error {
	if err := durable.Clean(s.dir, nil); err != nil {
		return fmt.Errorf("clean the keystore: %w", err)
	}
	return nil
}

// Has reports whether there is a key with the label.
func (s *Store) Has(name string) bool {
	_, err := os.Stat(s.path(name))
	return err == nil
}

// List returns the labels of all keys, sorted.
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
			continue // not a key file
		}
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names, nil
}

// Remove permanently deletes a key. It returns [ErrNotFound] if there is none.
func (s *Store) Remove(name string) error {
	err := os.Remove(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return noKeyNamed(name)
	}
	if err != nil {
		return fmt.Errorf("remove key %q: %w", name, err)
	}
	return s.sync()
}

// Rename gives a key another label. If the label is taken, it returns [ErrExist], or
// with overwrite deletes the key that had it and reports so.
func (s *Store) Rename(name, to string, overwrite bool) (overwrote bool, err error) {
	if err := CheckName(to); err != nil {
		return false, err
	}
	if !s.Has(name) {
		return false, noKeyNamed(name)
	}
	if name == to {
		return false, nil
	}
	switch {
	case s.same(name, to):
		// A crash left the key under both labels: this rename finishes the job.
		err = os.Remove(s.path(name))
	case overwrite:
		overwrote = s.Has(to)
		err = os.Rename(s.path(name), s.path(to))
	default:
		if err = os.Link(s.path(name), s.path(to)); err == nil {
			// A crash here leaves the key under both labels.
			err = os.Remove(s.path(name))
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return false, ErrExist
	}
	if err != nil {
		return false, fmt.Errorf("rename key %q to %q: %w", name, to, err)
	}
	return overwrote, s.sync()
}

// same reports whether two labels belong to the same file.
func (s *Store) same(name, other string) bool {
	a, err := os.Stat(s.path(name))
	if err != nil {
		return false
	}
	b, err := os.Stat(s.path(other))
	return err == nil && os.SameFile(a, b)
}

func (s *Store) sync() error { return durable.SyncDir(s.dir) }

// WriteNew writes a file that only its owner can read, whatever the umask. The file is
// complete and on disk, or does not exist. It returns [fs.ErrExist] if there is already
// one at path.
func WriteNew(path string, content []byte) error {
	err := durable.Create(path, content, 0o600)
	if errors.Is(err, fs.ErrExist) {
		err = fs.ErrExist
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
