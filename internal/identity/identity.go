// Package identity opens the keys of a repo, and encrypts them or takes that back.
//
// In clear, the key of the node itself is in the config, and the others are files of the
// keystore, as Kubo has them. Encrypted, all are files, and the config has the peer id
// alone. Where that key is decides how new keys are written.
//
// A crash during a conversion loses nothing: each file says what it is, the key of the node
// leaves its old place only when it was read back from the new one, and the next conversion
// completes the work.
//
// The caller holds the lock of the repo, but for [Store].
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
	// Damaged names files that cannot be used as they are; nil: none.
	Damaged error

	repo   repo.Repo
	vault  *age.Vault // nil: nothing is encrypted
	locked int        // files that are encrypted and cannot be decrypted
}

// Locked reports whether there are keys that are encrypted and cannot be used.
func (k *Keys) Locked() bool { return k.Self == nil || k.locked > 0 }

// Unready says why nothing is signed; "": the keys are there.
func (k *Keys) Unready() string {
	if k.Locked() {
		return "its keys are encrypted, and no passphrase was given"
	}
	return ""
}

// Open opens the keys of a repo with the given identity. Keys that are encrypted are locked
// unless the passphrase is given. A wrong one is [age.ErrPassphrase] and changes nothing.
func Open(r repo.Repo, id repo.Identity, passphrase []byte) (*Keys, error) {
	k := &Keys{repo: r}
	if err := k.openStore(passphrase); err != nil {
		return nil, err
	}
	k.Damaged = k.Store.Clean() // no one else writes
	if k.vault != nil {
		k.Damaged = errors.Join(k.Damaged, k.vault.Complete(r.Keystore()), k.vault.Damaged())
	}
	if err := k.readSelf(id); err != nil {
		return nil, fmt.Errorf("the config of %s has no valid Identity: %w; restore the file from a backup", string(r), err)
	}
	k.Store.Encrypt = id.PrivKey == ""
	var err error
	k.locked, err = k.Store.Locked()
	return k, err
}

// Store returns the keystore of a repo, to read keys while another process may hold the
// lock. It changes nothing.
func Store(r repo.Repo, passphrase []byte) (*keystore.Store, error) {
	k := &Keys{repo: r}
	err := k.openStore(passphrase)
	return k.Store, err
}

// openStore opens the keystore and, if keys are encrypted, what decrypts them.
func (k *Keys) openStore(passphrase []byte) (err error) {
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
	// A damaged identity locks the keys, and blocks nothing else.
	if err := vault.Unlock(passphrase); errors.Is(err, age.ErrPassphrase) {
		return err
	}
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

// Encrypt encrypts all keys with the passphrase with which they were opened, and returns how
// many were in clear. Files that are damaged stay as they are, and are named in the error.
func (k *Keys) Encrypt(passphrase []byte) (n int, err error) {
	config, err := k.repo.Config()
	if err != nil {
		return 0, err
	}
	if err := k.seal(passphrase); err != nil {
		return 0, err
	}
	if config.Identity.PrivKey != "" {
		if err := k.putSelf(); err != nil {
			return 0, err
		}
		// A crash before this leaves the key in both places.
		if err := k.repo.SetIdentity(repo.Identity{PeerID: config.Identity.PeerID}); err != nil {
			return 0, err
		}
		n++
	}
	k.Store.Encrypt = true
	others, err := k.Store.Convert(false)
	return n + others, errors.Join(err, k.repo.ForgetKey())
}

// Reseal encrypts all keys that are encrypted again, so that daemons whose recipients were
// added to recipients.txt can use them, and those that were removed cannot use the files.
func (k *Keys) Reseal() error { return k.Store.Reseal() }

// seal makes the vault if there is none.
func (k *Keys) seal(passphrase []byte) (err error) {
	switch {
	case k.vault != nil && k.vault.Damaged() != nil:
		return k.vault.Damaged()
	case k.vault != nil && k.Self == nil:
		return keystore.ErrLocked
	case k.vault != nil:
		return nil
	case k.Locked(): // another identity would make it look as if the files were damaged
		return fmt.Errorf("keys of %s are encrypted, but identity.age is missing in %s: restore it from a backup", string(k.repo), k.repo.Keystore())
	}
	if k.Store.Has(keystore.Self) {
		if err := k.sameSelf(); err != nil {
			return err
		}
	}
	if k.vault, err = age.Create(k.repo.Keystore(), passphrase); err != nil {
		return err
	}
	k.Store.Cipher = k.vault
	return nil
}

// putSelf puts the key of the node into the keystore, encrypted, and reads it back.
func (k *Keys) putSelf() error {
	k.Store.Encrypt = true
	err := k.Store.Put(keystore.Self, k.Self)
	if err != nil && !errors.Is(err, keystore.ErrExist) { // a crash may have left it
		return err
	}
	return k.sameSelf()
}

// sameSelf returns an error if the keystore has another key of a node.
func (k *Keys) sameSelf() error {
	back, err := k.Store.Get(keystore.Self)
	if err != nil {
		return err
	}
	if !back.Equals(k.Self) {
		return fmt.Errorf("the keystore of %s has the key of another node: move its file, key_onswyzq, away", string(k.repo))
	}
	return nil
}

// Make encrypts the keys of a repo that has no config yet, and returns the identity for it
// and the keystore, for other keys.
func Make(r repo.Repo, id repo.Identity, passphrase []byte) (repo.Identity, *keystore.Store, error) {
	k := &Keys{repo: r}
	err := k.openStore(passphrase)
	if err != nil || len(passphrase) == 0 {
		return id, k.Store, err
	}
	if err := k.readSelf(id); err != nil {
		return id, nil, err
	}
	if err := k.seal(passphrase); err != nil {
		return id, nil, err
	}
	if err := k.vault.Complete(r.Keystore()); err != nil {
		return id, nil, err
	}
	return repo.Identity{PeerID: id.PeerID}, k.Store, k.putSelf()
}

// Left returns the key of the node that an interrupted Make, or the loss of the config, has
// left in a repo without a config; nil: there is none.
func Left(r repo.Repo, passphrase []byte) (crypto.PrivKey, error) {
	s, err := Store(r, passphrase)
	if err != nil || !s.Has(keystore.Self) {
		return nil, err
	}
	key, err := s.Get(keystore.Self)
	if err != nil {
		return nil, fmt.Errorf("%s has no config, but the encrypted key of a node: %w", string(r), err)
	}
	return key, nil
}

// Decrypt writes all keys in clear, as Kubo has them, and removes the encryption. It
// returns how many keys it decrypted. If a file is damaged, it stays encrypted, and so does
// what decrypts it.
func (k *Keys) Decrypt() (n int, err error) {
	switch {
	case k.vault == nil:
		return 0, nil
	case k.Self == nil && k.vault.Damaged() != nil:
		return 0, k.vault.Damaged()
	case k.Self == nil:
		return 0, keystore.ErrLocked
	}
	b, err := ipns.MarshalPrivateKey(k.Self)
	if err != nil {
		return 0, err
	}
	id := repo.Identity{PeerID: k.Name.PeerID().String(), PrivKey: base64.StdEncoding.EncodeToString(b)}
	if err := k.repo.SetIdentity(id); err != nil {
		return 0, err
	}
	k.Store.Encrypt = false
	if n, err = k.Store.Convert(true); err != nil {
		return n, err
	}
	// Nothing else must have written the config meanwhile: this is the other copy.
	config, err := k.repo.Config()
	if err != nil {
		return n, err
	}
	if config.Identity != id {
		return n, errors.New("the config was changed meanwhile: the keys stay encrypted as well, and the same command goes on")
	}
	if err := k.Store.Remove(keystore.Self); err != nil && !errors.Is(err, keystore.ErrNotFound) {
		return n, err
	}
	if err := age.Remove(k.repo.Keystore()); err != nil {
		return n, err
	}
	k.vault, k.Store.Cipher = nil, nil
	return n + 1, nil
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
	if k.Store.Encrypt {
		// A crash after this leaves the old peer id in the config, which the next start mends.
		if err := k.Store.Replace(keystore.Self, key); err != nil {
			return err
		}
		id.PrivKey = ""
	} else if k.Store.Has(keystore.Self) {
		// A decryption that a damaged file has stopped left a copy there, which would later
		// look like the key of another node. The config has that key until the next line.
		if err := k.sameSelf(); err != nil {
			return err
		}
		if err := k.Store.Remove(keystore.Self); err != nil {
			return err
		}
	}
	return k.repo.SetIdentity(id)
}
