// Package age encrypts the keys of a node at rest, in the age format (age-encryption.org/v1).
//
// A daemon has an X25519 identity, which is in the file "identity.age" of its folder of
// keys, encrypted with a passphrase. The file of a key is encrypted to the recipients of
// that folder, the file "recipients.txt": the daemon's own, and those of other daemons that
// share the keys. So the slow function of the passphrase (scrypt, 0.7 s) runs once for a
// start, and a key can be added without the passphrase. All of it can be opened by hand:
//
//	age --decrypt identity.age > identity.txt
//	age --decrypt --identity identity.txt key_mjwg6zy > blog.key
//
// A key file names its IPNS name in a stanza of its header, of type [nameStanza], which
// other programs ignore: a daemon without the passphrase knows which names it has keys of.
// The stanza is proven only when the file is decrypted, by the header's MAC and by the key.
//
// Invariant: the identity is on disk before the first file that is encrypted to it.
package age

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"filippo.io/age"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/durable"
	"github.com/goipns/ipns/keystore"
)

// ErrPassphrase means that the passphrase is not the one with which the keys were
// encrypted.
var ErrPassphrase = errors.New("wrong passphrase")

// ErrDamaged means that keys cannot be decrypted with any passphrase, since the identity's file
// is damaged. It is a [keystore.ErrLocked], too.
var ErrDamaged = errors.New("the identity that keys are encrypted to is damaged; restore its file from a backup")

// damagedIdentity is an ErrDamaged.
type damagedIdentity struct{ cause error }

func (d damagedIdentity) Error() string { return fmt.Sprintf("%v (%v)", ErrDamaged, d.cause) }
func (d damagedIdentity) Is(target error) bool {
	return target == ErrDamaged || target == keystore.ErrLocked
}
func (d damagedIdentity) Unwrap() error { return d.cause }

const (
	identityFile   = "identity.age"
	recipientsFile = "recipients.txt"
)

// Limits of what is read.
const (
	// maxWork is the largest exponent of scrypt's work: 2^20 takes about 3 s and 1 GiB.
	maxWork       = 20
	maxIdentity   = 16 << 10 // bytes of the identity's file
	maxRecipients = 64       // daemons that share keys
	maxPlain      = 16 << 10 // bytes of a key
)

// work is the exponent of scrypt's work for new identities: age's own default.
const work = 18

// Vault encrypts the keys of one folder. It is safe for concurrent use. It is a
// [keystore.Cipher].
type Vault struct {
	recipients []age.Recipient
	damaged    error  // of the recipients' file; nil: none
	sealed     []byte // the identity's file

	mu       sync.Mutex
	identity *age.X25519Identity // nil: locked
	broken   error               // of the identity's file; nil: none, or not known yet
}

// Open returns the vault of a folder, which is locked, or [fs.ErrNotExist] if there is none.
func Open(dir string) (*Vault, error) {
	sealed, err := readFile(filepath.Join(dir, identityFile), maxIdentity)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the identity that keys are encrypted to: %w", err)
	}
	v := &Vault{sealed: sealed}
	if err != nil {
		v.broken = damagedIdentity{err}
	}
	text, err := readFile(filepath.Join(dir, recipientsFile), maxRecipients*128)
	if errors.Is(err, fs.ErrNotExist) { // a crash in Create: Complete writes it
		return v, nil
	}
	if err == nil {
		v.recipients, err = parseRecipients(text)
	}
	if err != nil {
		v.damaged = fmt.Errorf("read the recipients that keys are encrypted to from %s: %w", filepath.Join(dir, recipientsFile), err)
	}
	return v, nil
}

// Damaged returns why keys can be encrypted or decrypted by no one, as far as that is known, or
// nil.
func (v *Vault) Damaged() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return errors.Join(v.damaged, v.broken)
}

func parseRecipients(text []byte) ([]age.Recipient, error) {
	list, err := age.ParseRecipients(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if len(list) > maxRecipients {
		return nil, fmt.Errorf("%d recipients: at most %d are possible", len(list), maxRecipients)
	}
	for _, r := range list {
		if _, ok := r.(*age.X25519Recipient); !ok {
			return nil, errors.New("a recipient is not of the type X25519 (age1…)")
		}
	}
	return list, nil
}

// Create makes a vault in a folder that has none, and returns it unlocked.
func Create(dir string, passphrase []byte) (*Vault, error) {
	if len(passphrase) == 0 {
		return nil, errors.New("the passphrase is empty")
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make an identity: %w", err)
	}
	v := &Vault{identity: identity}
	if v.sealed, err = sealIdentity(identity, passphrase); err != nil {
		return nil, err
	}
	if err := durable.Create(filepath.Join(dir, identityFile), v.sealed, 0o400); err != nil {
		return nil, fmt.Errorf("write the identity that keys are encrypted to: %w", err)
	}
	return v, v.Complete(dir)
}

// Complete writes the recipients of an unlocked vault that has none, after a crash.
func (v *Vault) Complete(dir string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.recipients) > 0 || v.damaged != nil || v.identity == nil {
		return nil
	}
	own := v.identity.Recipient()
	if err := durable.Replace(filepath.Join(dir, recipientsFile), []byte(own.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the recipients that keys are encrypted to: %w", err)
	}
	v.recipients = []age.Recipient{own}
	return nil
}

// Remove deletes the vault of a folder in which no key is encrypted any more.
func Remove(dir string) error {
	for _, file := range []string{recipientsFile, identityFile} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the encryption of keys: %w", err)
		}
	}
	return durable.SyncDir(dir)
}

// sealIdentity encrypts an identity with a passphrase.
func sealIdentity(identity *age.X25519Identity, passphrase []byte) ([]byte, error) {
	r, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("encrypt the identity: %w", err)
	}
	r.SetWorkFactor(work)
	return encrypt([]byte(identity.String()+"\n"), r)
}

// Unlock makes a vault able to decrypt. A wrong passphrase is [ErrPassphrase]; after any other
// error, which is ErrDamaged, it stays locked and encrypts nothing.
func (v *Vault) Unlock(passphrase []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.broken != nil {
		return v.broken
	}
	identity, err := openIdentity(v.sealed, passphrase)
	switch {
	case err == nil:
		v.identity = identity
	case !errors.Is(err, ErrPassphrase):
		v.broken = damagedIdentity{err}
		err = v.broken
	}
	return err
}

// openIdentity decrypts an identity.
func openIdentity(sealed, passphrase []byte) (*age.X25519Identity, error) {
	scrypt, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	scrypt.SetMaxWorkFactor(maxWork)
	plain, err := decrypt(sealed, scrypt)
	var mismatch *age.NoIdentityMatchError
	if errors.As(err, &mismatch) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, err
	}
	identity, err := age.ParseX25519Identity(strings.TrimSpace(string(plain)))
	if err != nil {
		return nil, errors.New("it is not an X25519 identity")
	}
	return identity, nil
}

// Passphrase encrypts the identity of an unlocked vault with another passphrase.
func (v *Vault) Passphrase(dir string, passphrase []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.broken != nil:
		return v.broken
	case v.identity == nil:
		return keystore.ErrLocked
	case len(passphrase) == 0:
		return errors.New("the passphrase is empty")
	}
	sealed, err := sealIdentity(v.identity, passphrase)
	if err != nil {
		return err
	}
	if err := durable.Replace(filepath.Join(dir, identityFile), sealed, 0o400); err != nil {
		return fmt.Errorf("write the identity that keys are encrypted to: %w", err)
	}
	v.sealed = sealed
	return nil
}

// Encrypt implements [keystore.Cipher].
func (v *Vault) Encrypt(name ipns.Name, key []byte) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := errors.Join(v.damaged, v.broken); err != nil {
		return nil, err
	}
	if len(v.recipients) == 0 {
		return nil, keystore.ErrLocked
	}
	sealed, err := encrypt(key, append([]age.Recipient{nameStanza(name.String())}, v.recipients...)...)
	if err != nil || v.identity == nil {
		return sealed, err
	}
	// What cannot be read back must not replace a key.
	back, err := decrypt(sealed, v.identity)
	if err != nil {
		return nil, fmt.Errorf("read back an encrypted key: %w; is this daemon among the recipients?", err)
	}
	if !bytes.Equal(back, key) {
		return nil, errors.New("read back an encrypted key: it is another one")
	}
	return sealed, nil
}

// Decrypt implements [keystore.Cipher].
func (v *Vault) Decrypt(file []byte) ([]byte, error) {
	v.mu.Lock()
	identity, broken := v.identity, v.broken
	v.mu.Unlock()
	switch {
	case broken != nil:
		return nil, broken
	case identity == nil:
		return nil, keystore.ErrLocked
	}
	return decrypt(file, identity)
}

// Name implements [keystore.Cipher].
func (v *Vault) Name(file []byte) (ipns.Name, error) {
	var n nameReader
	_, err := age.Decrypt(bytes.NewReader(file), &n)
	if n.text == "" {
		return ipns.Name{}, fmt.Errorf("the name of an encrypted key: %w", err)
	}
	return ipns.ParseName(n.text)
}

// nameStanza is the IPNS name of a key, as a recipient that can decrypt nothing.
type nameStanza string

const stanzaType = "ipns-name"

// Wrap implements age.Recipient.
func (n nameStanza) Wrap([]byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: stanzaType, Args: []string{string(n)}}}, nil
}

// nameReader reads the stanza, as an identity that can decrypt nothing.
type nameReader struct{ text string }

// Unwrap implements age.Identity.
func (n *nameReader) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, s := range stanzas {
		if s.Type == stanzaType && len(s.Args) == 1 && n.text == "" {
			n.text = s.Args[0]
		}
	}
	return nil, age.ErrIncorrectIdentity
}

func encrypt(plain []byte, to ...age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out.Bytes(), nil
}

func decrypt(file []byte, by age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(file), by)
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxPlain+1))
	if err == nil && len(plain) > maxPlain {
		err = fmt.Errorf("more than %d bytes", maxPlain)
	}
	return plain, err
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return b, err
}
