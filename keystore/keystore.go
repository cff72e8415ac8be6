// Package keystore keeps the private keys of a node, one file each, in the layout of
// Kubo: the file of the key "blog" is named key_ and the lower-case base32 of "blog",
// and holds a serialized PrivateKey. A [Keyring] finds keys by label, name or peer id,
// and signs with them.
//
// Invariants: a key file is written as a whole and is on disk when the call returns; it
// is replaced only if the caller asked for that; after a crash a key may exist under
// two labels but never under none. Only the owner of the files can read them. With a
// [Cipher] they are also encrypted, and the node's own key, "self", is one of them.
package keystore

import (
	"bytes"
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

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/durable"
)

var (
	// ErrNotFound means that there is no such key.
	ErrNotFound = errors.New("no key by the given name was found")
	// ErrExist means that the label is taken.
	ErrExist = errors.New("key by that name already exists, refusing to overwrite")
	// ErrLocked means that the key is encrypted and that no passphrase was given.
	ErrLocked = errors.New("the key is encrypted, and its passphrase is not known here")
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
type Store struct {
	// Cipher decrypts the files of keys, and encrypts them if Encrypt is set; nil: those
	// that are encrypted are [ErrLocked]. Files in clear are read in either case. Set both
	// before the first use.
	Cipher  Cipher
	Encrypt bool

	dir string
}

// A Cipher encrypts the files of keys. Its methods are safe for concurrent use.
type Cipher interface {
	// Encrypt returns the file of the key of a name, in the age format.
	Encrypt(name ipns.Name, key []byte) ([]byte, error)
	// Decrypt returns the key in a file, or [ErrLocked].
	Decrypt(file []byte) ([]byte, error)
	// Name returns what a file claims to be the name of its key, even while it cannot be
	// decrypted.
	Name(file []byte) (ipns.Name, error)
}

// encrypted reports whether a key file is encrypted: what it begins with is the first
// line of every file in the age format, and of no serialized key.
func encrypted(file []byte) bool { return bytes.HasPrefix(file, []byte("age-encryption.org/")) }

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

// Get returns a key, [ErrNotFound] or [ErrLocked].
func (s *Store) Get(name string) (crypto.PrivKey, error) {
	file, err := s.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err == nil {
		var key crypto.PrivKey
		if key, err = s.parse(file); err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("read key %q from %s: %w", name, s.path(name), err)
}

// read returns the file of a key.
func (s *Store) read(name string) ([]byte, error) {
	info, err := os.Stat(s.path(name))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would wait for a writer
		return nil, fmt.Errorf("it is no file, but %v", info.Mode().Type())
	}
	f, err := os.Open(s.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

// parse returns the key in a file.
func (s *Store) parse(file []byte) (crypto.PrivKey, error) {
	if !encrypted(file) {
		return crypto.UnmarshalPrivateKey(file)
	}
	if s.Cipher == nil {
		return nil, ErrLocked
	}
	plain, err := s.Cipher.Decrypt(file)
	if err != nil {
		return nil, err
	}
	key, err := crypto.UnmarshalPrivateKey(plain)
	if err != nil {
		return nil, err
	}
	claimed, err := s.Cipher.Name(file)
	if err != nil {
		return nil, err
	}
	if of, err := ipns.NameOf(key.GetPublic()); err != nil || of != claimed {
		return nil, fmt.Errorf("it is not the key of %s, as its header says", claimed)
	}
	return key, nil
}

// NameOf returns the name of a key, [ErrNotFound] or [ErrLocked]. While the key cannot be
// decrypted, it is what the Cipher says that its file claims.
func (s *Store) NameOf(name string) (ipns.Name, error) {
	file, err := s.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return ipns.Name{}, ErrNotFound
	}
	var of ipns.Name
	if err == nil {
		of, _, err = s.nameOf(file)
	}
	if err != nil {
		err = fmt.Errorf("read key %q from %s: %w", name, s.path(name), err)
	}
	return of, err
}

// nameOf is [Store.NameOf] for the file of a key, and whether it cannot be decrypted.
func (s *Store) nameOf(file []byte) (name ipns.Name, locked bool, err error) {
	key, err := s.parse(file)
	switch {
	case err == nil:
		name, err = ipns.NameOf(key.GetPublic())
	case errors.Is(err, ErrLocked) && s.Cipher != nil:
		locked = true
		name, err = s.Cipher.Name(file)
	}
	return name, locked, err
}

// seal returns the file of a key.
func (s *Store) seal(key crypto.PrivKey) ([]byte, error) {
	b, err := crypto.MarshalPrivateKey(key)
	if err != nil || !s.Encrypt {
		return b, err
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		return nil, err
	}
	return s.Cipher.Encrypt(name, b)
}

// Put stores a new key. It returns [ErrExist] if the label is taken.
func (s *Store) Put(name string, key crypto.PrivKey) error {
	if err := CheckName(name); err != nil {
		return err
	}
	b, err := s.seal(key)
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

// Replace stores a key in place of the one that had the label, if any.
func (s *Store) Replace(name string, key crypto.PrivKey) error {
	b, err := s.seal(key)
	if err == nil {
		err = durable.Replace(s.path(name), b, 0o400)
	}
	if err != nil {
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
		// A crash left the key under both labels, or it was stored twice: this rename
		// finishes the job, and loses nothing.
		err = os.Remove(s.path(name))
	case overwrite:
		overwrote = s.Has(to)
		err = os.Rename(s.path(name), s.path(to))
	default:
		err = renameNew(s.path(name), s.path(to))
	}
	if errors.Is(err, fs.ErrExist) {
		return false, ErrExist
	}
	if err != nil {
		return false, fmt.Errorf("rename key %q to %q: %w", name, to, err)
	}
	return overwrote, s.sync()
}

// renameByLink is renameNew where no call does it in one step.
func renameByLink(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	// A crash here leaves the key under both labels.
	return os.Remove(from)
}

// same reports whether two labels belong to the same key: to one file, or, when it was
// encrypted or decrypted since, to two.
func (s *Store) same(name, other string) bool {
	a, err := os.Stat(s.path(name))
	if err != nil {
		return false
	}
	b, err := os.Stat(s.path(other))
	if err != nil {
		return false
	}
	if os.SameFile(a, b) {
		return true
	}
	key, err := s.Get(name)
	if err != nil {
		return false
	}
	of, err := s.Get(other)
	return err == nil && key.Equals(of)
}

func (s *Store) sync() error { return durable.SyncDir(s.dir) }

// WriteNew writes a file that only its owner can read, whatever the umask. The file is
// complete and on disk, or does not exist. It returns [fs.ErrExist] if there is already
// one at path.
func WriteNew(path string, content []byte) error {
	err := durable.CreateOwn(path, content, 0o600)
	if errors.Is(err, fs.ErrExist) {
		err = fs.ErrExist
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
