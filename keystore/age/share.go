package age

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
	"github.com/decred/dcrd/bech32"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
)

// Identity decrypts keys that other daemons share with this one. It follows from the key of
// the node, so that nothing else has to be kept, and a restored node has it again.
type Identity struct{ x *age.X25519Identity }

// identityInfo separates the identity from all else that may be made of the key of a node.
const identityInfo = "ipns: age identity for shared keys, version 1"

// IdentityOf returns the identity of the node with a key.
func IdentityOf(self crypto.PrivKey) (*Identity, error) {
	raw, err := self.Raw()
	if err != nil {
		return nil, errors.New("the key of the node cannot be read")
	}
	scalar, err := hkdf.Key(sha256.New, raw, nil, identityInfo, 32)
	if err != nil {
		return nil, err
	}
	text, err := bech32.EncodeFromBase256("age-secret-key-", scalar) // the only form in which age takes one
	if err != nil {
		return nil, errors.New("no identity can be made of the key of the node") // err may quote it
	}
	x, err := age.ParseX25519Identity(strings.ToUpper(text))
	if err != nil {
		return nil, errors.New("no identity can be made of the key of the node") // err may quote it
	}
	return &Identity{x}, nil
}

// Recipient is what others encrypt to, age1….
func (i *Identity) Recipient() string { return i.x.Recipient().String() }

// CheckRecipient returns an error if a text is not a recipient.
func CheckRecipient(text string) error {
	if _, err := age.ParseX25519Recipient(text); err != nil {
		return fmt.Errorf("%.80q is no recipient of the type X25519 (age1…)", text)
	}
	return nil
}

// ErrNotFor means that a key is encrypted to others than this daemon.
var ErrNotFor = errors.New("it is not encrypted to this daemon")

// Seal returns the file of a key, encrypted to recipients.
func Seal(key crypto.PrivKey, recipients []string) ([]byte, error) {
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		return nil, err
	}
	if len(recipients) == 0 || len(recipients) > maxRecipients {
		return nil, fmt.Errorf("%d recipients: 1 to %d are possible", len(recipients), maxRecipients)
	}
	to := []age.Recipient{nameStanza(name.String())}
	for _, text := range recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, CheckRecipient(text)
		}
		to = append(to, r)
	}
	plain, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("the key of %s cannot be encoded", name)
	}
	return encrypt(plain, to...)
}

// Open decrypts the key of a name, or returns ErrNotFor.
func (i *Identity) Open(name ipns.Name, file []byte) (crypto.PrivKey, error) {
	plain, err := decrypt(file, i.x)
	var mismatch *age.NoIdentityMatchError
	if errors.As(err, &mismatch) {
		return nil, ErrNotFor
	}
	if err != nil {
		return nil, err
	}
	key, err := crypto.UnmarshalPrivateKey(plain)
	if err != nil {
		return nil, errors.New("what is encrypted is no key") // err may quote it
	}
	if of, err := ipns.NameOf(key.GetPublic()); err != nil || of != name {
		return nil, fmt.Errorf("it is not the key of %s", name)
	}
	return key, nil
}
