// Package identity opens the keys of a repo, and encrypts them or takes that back.
//
// In clear, the key of the node itself is in the config, and the others are files of the
// keystore, as Kubo has them. Encrypted, all are files, and the config has the peer id
// alone. What is encrypted stays readable if a crash interrupts the conversion: each file
// says what it is, the key of the node leaves its old place only when it was read back
// from the new one, and the next conversion completes the work.
//
// The caller holds the lock of the repo.
package identity

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/keystore/age"
)

// Keys are the keys of a repo.
type Keys struct {
	Self  crypto.PrivKey // the key of the node; nil: locked
	Name  ipns.Name      // of Self
	Store *keystore.Store
	// Encrypted is how many keys Open encrypted.
	Encrypted int
	// Damaged names the files that could not be encrypted; nil: none. They stay as they
	// are.
	Damaged error

	repo  repo.Repo
	vault *age.Vault // nil: the keys are in clear
}

// Locked reports whether the keys are encrypted and cannot be used.
func (k *Keys) Locked() bool { return k.Self == nil }

// Open opens the keys of a repo with the given identity. With a passphrase, keys that are in
// clear are encrypted; without one, keys that are encrypted are locked. A wrong passphrase
// is [age.ErrPassphrase] and changes nothing.
func Open(r repo.Repo, id repo.Identity, passphrase []byte) (*Keys, error) {
	k := &Keys{repo: r}
	if err := k.open(id, passphrase); err != nil {
		return nil, err
	}
	if len(passphrase) == 0 {
		return k, nil
	}
	if err := k.encrypt(id); err != nil {
		return nil, err
	}
	n, err := k.Store.Convert(false)
	k.Encrypted += n
	k.Damaged = errors.Join(k.Damaged, err)
	return k, nil
}

// Make encrypts the keys of a repo that has no config yet, and returns the identity for it.
// It refuses a keystore that has the key of another node, which may be the only copy.
func Make(r repo.Repo, id repo.Identity, passphrase []byte) (repo.Identity, error) {
	k := &Keys{repo: r}
	if err := k.open(id, passphrase); err != nil {
		return id, err
	}
	if err := k.putSelf(); err != nil {
		return id, err
	}
	_, err := k.Store.Convert(false)
	return repo.Identity{PeerID: id.PeerID}, err
}

// Store returns the keystore of a repo, to read keys while another process may hold the
// lock. It changes nothing.
func Store(r repo.Repo, passphrase []byte) (*keystore.Store, error) {
	k := &Keys{repo: r}
	err := k.openVault(passphrase)
	return k.Store, err
}

// openVault opens the keystore and, if keys are encrypted, what decrypts them.
func (k *Keys) openVault(passphrase []byte) (err error) {
	dir := k.repo.Keystore()
	if k.Store, err = keystore.Open(dir); err != nil {
		return err
	}
	vault, err := age.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	k.vault, k.Store.Cipher = vault, vault
	if len(passphrase) == 0 {
		return nil
	}
	return vault.Unlock(dir, passphrase)
}

// open reads what there is, and makes a vault if there is none and a passphrase is given.
func (k *Keys) open(id repo.Identity, passphrase []byte) (err error) {
	if err := k.openVault(passphrase); err != nil {
		return err
	}
	if err := k.Store.Clean(); err != nil { // no one else writes: the caller holds the lock
		k.Damaged = err
	}
	if err := k.readSelf(id); err != nil {
		return fmt.Errorf("the config of %s has no valid Identity: %w; restore the file from a backup", string(k.repo), err)
	}
	if k.vault != nil || len(passphrase) == 0 {
		return nil
	}
	dir := k.repo.Keystore()
	if k.Locked() {
		return fmt.Errorf("keys of %s are encrypted, but identity.age is missing in %s: restore it from a backup", string(k.repo), dir)
	}
	if k.vault, err = age.Create(dir, passphrase); err != nil {
		return err
	}
	k.Store.Cipher = k.vault
	return nil
}

// readSelf reads the key of the node from the config, else from the keystore.
func (k *Keys) readSelf(id repo.Identity) (err error) {
	if id.PrivKey == "" {
		return k.readSealedSelf(id)
	}
	b, err := base64.StdEncoding.DecodeString(id.PrivKey)
	if err != nil {
		return err
	}
	if k.Self, err = ipns.ParsePrivateKey(b); err != nil {
		return err
	}
	if k.Name, err = ipns.NameOf(k.Self.GetPublic()); err != nil {
		return err
	}
	if own := k.Name.PeerID().String(); own != id.PeerID {
		return fmt.Errorf("PrivKey is that of %s, not of PeerID %s", own, id.PeerID)
	}
	return nil
}

// readSealedSelf reads the key of the node from the keystore. What the config has as the
// peer id follows from it.
func (k *Keys) readSealedSelf(id repo.Identity) (err error) {
	k.Name, err = k.Store.NameOf(keystore.Self)
	if errors.Is(err, keystore.ErrNotFound) {
		return errors.New("it has no PrivKey")
	}
	if errors.Is(err, keystore.ErrLocked) { // and identity.age is missing
		k.Name, err = ipns.ParseName(id.PeerID)
	}
	if err != nil {
		return err
	}
	if k.Self, err = k.Store.Get(keystore.Self); errors.Is(err, keystore.ErrLocked) {
		return nil
	}
	if own := k.Name.PeerID().String(); err == nil && own != id.PeerID {
		err = k.repo.SetIdentity(repo.Identity{PeerID: own})
	}
	return err
}

// encrypt moves the key of the node from the config to the keystore.
func (k *Keys) encrypt(id repo.Identity) error {
	if id.PrivKey == "" {
		return nil
	}
	if err := k.putSelf(); err != nil {
		return err
	}
	k.Encrypted++
	// A crash before this leaves the key in both places.
	return k.repo.SetIdentity(repo.Identity{PeerID: id.PeerID})
}

// putSelf puts the key of the node into the keystore, and reads it back.
func (k *Keys) putSelf() error {
	err := k.Store.Put(keystore.Self, k.Self)
	if err != nil && !errors.Is(err, keystore.ErrExist) { // a crash may have left it
		return err
	}
	back, err := k.Store.Get(keystore.Self)
	if err != nil {
		return err
	}
	if !back.Equals(k.Self) {
		return fmt.Errorf("encrypt the key of the node: the keystore of %s has the key of another node; move its file away", string(k.repo))
	}
	return nil
}

// Decrypt writes all keys in clear, as Kubo has them, and removes the encryption. It
// returns how many keys it decrypted. If a file is damaged, it stays encrypted, and so does
// what decrypts it.
func (k *Keys) Decrypt() (int, error) {
	if k.Locked() {
		return 0, keystore.ErrLocked
	}
	if k.vault == nil {
		return 0, nil
	}
	b, err := ipns.MarshalPrivateKey(k.Self)
	if err != nil {
		return 0, err
	}
	if err := k.repo.SetIdentity(repo.Identity{PeerID: k.Name.PeerID().String(), PrivKey: base64.StdEncoding.EncodeToString(b)}); err != nil {
		return 0, err
	}
	n := 1
	if err := k.Store.Remove(keystore.Self); err != nil && !errors.Is(err, keystore.ErrNotFound) {
		return n, err
	}
	others, err := k.Store.Convert(true)
	if n += others; err != nil {
		return n, err
	}
	if err := age.Remove(k.repo.Keystore()); err != nil {
		return n, err
	}
	k.vault, k.Store.Cipher = nil, nil
	return n, nil
}

// SetPassphrase changes the passphrase of keys that are encrypted and not locked.
func (k *Keys) SetPassphrase(passphrase []byte) error {
	if k.vault == nil {
		return errors.New("the keys are not encrypted")
	}
	return k.vault.Passphrase(k.repo.Keystore(), passphrase)
}

// SetSelf makes key the node's own key, which it has from its next start on. What is its
// own key now must be kept under another label before.
func (k *Keys) SetSelf(id repo.Identity, key crypto.PrivKey) error {
	if k.vault != nil {
		// A crash after this leaves the old peer id in the config, which the next start mends.
		if err := k.Store.Replace(keystore.Self, key); err != nil {
			return err
		}
		id.PrivKey = ""
	}
	return k.repo.SetIdentity(id)
}
