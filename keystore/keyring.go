package keystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
)

// Self is the label of the node's own key. It is in the [Store] only where keys are
// encrypted; else it is in the config.
const Self = "self"

// Key is a key of a [Keyring], without its private part.
type Key struct {
	Label string    // what the key is called here
	Name  ipns.Name // the name that it signs for
	// Err is why the key cannot be used: its file is damaged. Name is then zero.
	Err error
}

// Keyring holds all keys of a node: self and those in a [Store]. Its methods are safe
// for concurrent use.
//
// Its index from names to keys stays up to date, even when another process changes the
// Store's folder.
type Keyring struct {
	// Begin records that nothing was ever published under a name. Create calls it
	// before the new key is in the Store, so that a crash in between leaves a record
	// without a key, never a key without a record. nil: nothing is recorded.
	Begin func(context.Context, ipns.Name) error

	// Elsewhere has keys that are not in this process. Set it before the first use.
	Elsewhere []Elsewhere

	store    *Store
	self     crypto.PrivKey // nil: locked
	selfName ipns.Name

	mu     sync.Mutex // guards the fields below
	files  map[string]keyFile
	byName map[ipns.Name]string
	folder time.Time // modification time of the folder when the index was made
	stale  bool      // the index must be rebuilt
}

// A keyFile is what is known about the file of one key.
type keyFile struct {
	size    int64
	changed time.Time
	name    ipns.Name
	locked  bool // it cannot be decrypted
	err     error
}

// NewKeyring returns the keys of s and self, the key of name; nil: it is locked.
func NewKeyring(s *Store, name ipns.Name, self crypto.PrivKey) *Keyring {
	return &Keyring{store: s, self: self, selfName: name, stale: true}
}

// List returns all keys: self first, the others by label. A damaged key has its Err
// set.
func (k *Keyring) List() ([]Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return nil, err
	}
	list := []Key{{Label: Self, Name: k.selfName}}
	for _, label := range slices.Sorted(maps.Keys(k.files)) {
		list = append(list, k.files[label].key(label))
	}
	return list, nil
}

func (f keyFile) key(label string) Key { return Key{Label: label, Name: f.name, Err: f.err} }

// Find returns the key with the given label, IPNS name or peer id; labels with a colon are
// those of keys elsewhere, too. It returns [ErrNotFound] if there is none, and the key's own
// error if its file is damaged. A key elsewhere that is found by its name has no label.
func (k *Keyring) Find(ctx context.Context, text string) (Key, error) {
	key, err := k.find(text)
	if len(k.Elsewhere) == 0 || !errors.Is(err, ErrNotFound) {
		return key, err
	}
	if name, perr := ipns.ParseName(text); perr == nil {
		_, eerr := k.ofElsewhere(ctx, name)
		switch {
		case eerr == nil:
			return Key{Name: name}, nil
		case !errors.Is(eerr, ErrNotFound):
			return Key{}, fmt.Errorf("%s; %w", err, eerr)
		}
		return key, err
	}
	if !strings.Contains(text, ":") {
		return key, err
	}
	s, eerr := k.findElsewhere(ctx, text)
	if eerr == ErrNotFound { // no place has such labels
		return key, err
	}
	if eerr != nil {
		return Key{}, eerr
	}
	name, err := ipns.NameOf(s.Public())
	return Key{Label: text, Name: name}, err
}

// find is [Keyring.Find] among the keys that are here.
func (k *Keyring) find(text string) (Key, error) {
	if text == Self {
		return Key{Label: Self, Name: k.selfName}, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return Key{}, err
	}
	if f, ok := k.files[text]; ok {
		return f.key(text), f.err
	}
	name, err := ipns.ParseName(text)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %q", ErrNotFound, text)
	}
	return k.of(name)
}

// Of returns the key of a name, or [ErrNotFound].
func (k *Keyring) Of(name ipns.Name) (Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return Key{}, err
	}
	return k.of(name)
}

// of returns the key of a name. Call with mu held.
func (k *Keyring) of(name ipns.Name) (Key, error) {
	if name == k.selfName {
		return Key{Label: Self, Name: name}, nil
	}
	label, ok := k.byName[name]
	if !ok {
		return Key{}, notFound("no key by the given name or PeerID was found: " + name.String())
	}
	return Key{Label: label, Name: name}, nil
}

// Ready reports whether the key of a name is here and not locked, so that [Keyring.Signer]
// asks nobody.
func (k *Keyring) Ready(name ipns.Name) bool {
	if name == k.selfName {
		return k.self != nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return false
	}
	label, ok := k.byName[name]
	return ok && !k.files[label].locked
}

// Signer returns the signer of a name, [ErrNotFound] or [ErrLocked].
func (k *Keyring) Signer(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
	if name == k.selfName {
		if k.self == nil {
			return nil, fmt.Errorf("key %s: %w", Self, ErrLocked)
		}
		return ipns.NewSigner(k.self), nil
	}
	key, err := k.Of(name)
	if errors.Is(err, ErrNotFound) {
		if s, eerr := k.ofElsewhere(ctx, name); !errors.Is(eerr, ErrNotFound) {
			return s, eerr
		}
	}
	if err != nil {
		return nil, err
	}
	priv, err := k.store.Get(key.Label)
	if err != nil {
		return nil, err
	}
	if of, err := ipns.NameOf(priv.GetPublic()); err != nil || of != name {
		k.mu.Lock()
		k.stale = true // the file was overwritten, which does not change the folder
		delete(k.files, key.Label)
		k.mu.Unlock()
		return nil, fmt.Errorf("key %q no longer signs for %s", key.Label, name)
	}
	return ipns.NewSigner(priv), nil
}

// Create generates a key of a type; bits is the size of an RSA key, 0 for the default.
// It returns [ErrExist] if the label is taken.
func (k *Keyring) Create(ctx context.Context, label string, kind ipns.KeyType, bits int) (Key, error) {
	if err := k.free(label); err != nil {
		return Key{}, err
	}
	priv, err := ipns.GenerateKey(kind, bits)
	if err != nil {
		return Key{}, err
	}
	name, err := ipns.NameOf(priv.GetPublic())
	if err != nil {
		return Key{}, err
	}
	if k.Begin != nil {
		if err := k.Begin(ctx, name); err != nil {
			return Key{}, err
		}
	}
	return k.put(label, name, priv)
}

// Import stores a key generated elsewhere. Its last sequence is unknown, so the first
// publish searches. It returns [ErrExist] if the label is taken.
func (k *Keyring) Import(label string, priv crypto.PrivKey) (Key, error) {
	if err := k.free(label); err != nil {
		return Key{}, err
	}
	name, err := ipns.NameOf(priv.GetPublic())
	if err != nil {
		return Key{}, err
	}
	return k.put(label, name, priv)
}

func (k *Keyring) free(label string) error {
	if err := CheckName(label); err != nil {
		return err
	}
	if label == Self || k.store.Has(label) {
		return ErrExist
	}
	return nil
}

func (k *Keyring) put(label string, name ipns.Name, priv crypto.PrivKey) (Key, error) {
	defer k.changed()
	if err := k.store.Put(label, priv); err != nil {
		return Key{}, err
	}
	return Key{Label: label, Name: name}, nil
}

// Rename gives a key, even a damaged one, another label. If the label is taken, it
// returns [ErrExist], or with overwrite deletes the key that had it and reports so.
func (k *Keyring) Rename(label, to string, overwrite bool) (key Key, overwrote bool, err error) {
	if to == Self {
		return Key{}, false, ErrExist
	}
	key, err = k.Labelled(label)
	if err != nil {
		return Key{}, false, err
	}
	defer k.changed()
	overwrote, err = k.store.Rename(label, to, overwrite)
	key.Label = to
	return key, overwrote, err
}

// Remove permanently deletes a key, even a damaged one. It returns [ErrNotFound] if
// there is none.
func (k *Keyring) Remove(label string) (Key, error) {
	key, err := k.Labelled(label)
	if err != nil {
		return Key{}, err
	}
	defer k.changed()
	return key, k.store.Remove(label)
}

// Labelled returns the key with a label, even a damaged one, or [ErrNotFound].
func (k *Keyring) Labelled(label string) (Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return Key{}, err
	}
	f, ok := k.files[label]
	if !ok {
		return Key{}, noKeyNamed(label)
	}
	return f.key(label), nil
}

func (k *Keyring) changed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stale = true
}

// folderTick is how far apart two changes of a folder can be and still have the same
// modification time.
const folderTick = 100 * time.Millisecond

// refresh updates the index. If the folder has changed, it reads the files that are new
// or changed. Call with mu held.
func (k *Keyring) refresh() error {
	before, err := os.Stat(k.store.dir)
	if err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	if !k.stale && before.ModTime().Equal(k.folder) {
		return nil
	}
	labels, err := k.store.List()
	if err != nil {
		return err
	}
	files := make(map[string]keyFile, len(labels))
	byName := make(map[ipns.Name]string, len(labels))
	for _, label := range labels {
		if label == Self {
			continue
		}
		f, err := k.look(label)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		files[label] = f
		if _, taken := byName[f.name]; f.err == nil && !taken {
			byName[f.name] = label
		}
	}
	k.files, k.byName, k.folder = files, byName, before.ModTime()
	// A change right after this one would have the same time.
	k.stale = time.Since(before.ModTime()) < folderTick
	return nil
}

// look returns the key in a file, which it reads only if the file has changed.
func (k *Keyring) look(label string) (keyFile, error) {
	info, err := os.Stat(k.store.path(label))
	if err != nil {
		return keyFile{err: err}, err
	}
	known, ok := k.files[label]
	if ok && known.size == info.Size() && known.changed.Equal(info.ModTime()) {
		return known, nil
	}
	f := keyFile{size: info.Size(), changed: info.ModTime()}
	file, err := k.store.read(label)
	if err == nil {
		f.name, f.locked, err = k.store.nameOf(file)
	}
	if err != nil {
		f.err = fmt.Errorf("read key %q from %s: %w", label, k.store.path(label), err)
	}
	return f, nil
}
