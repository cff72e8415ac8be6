package age

import (
	"bytes"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
)

func newKey(t *testing.T, kind ipns.KeyType) (crypto.PrivKey, ipns.Name) {
	t.Helper()
	key, err := ipns.GenerateKey(kind, 0)
	if err != nil {
		t.Fatal(err)
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	return key, name
}

func TestAKeyIsSharedWithItsRecipientsAlone(t *testing.T) {
	key, name := newKey(t, ipns.Ed25519)
	for _, kind := range []ipns.KeyType{ipns.Ed25519, ipns.Secp256k1, ipns.RSA} {
		self, _ := newKey(t, kind)
		id, err := IdentityOf(self)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := IdentityOf(self); err != nil || again.Recipient() != id.Recipient() {
			t.Errorf("%v: the identity of a node changes: %v", kind, err)
		}
		other, _ := newKey(t, ipns.Ed25519)
		stranger, err := IdentityOf(other)
		if err != nil || stranger.Recipient() == id.Recipient() {
			t.Fatalf("%v", err)
		}
		file, err := Seal(key, []string{id.Recipient()})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := id.Open(name, file); err != nil || !got.Equals(key) {
			t.Errorf("%v: %v", kind, err)
		}
		if _, err := stranger.Open(name, file); !errors.Is(err, ErrNotFor) {
			t.Errorf("a stranger: %v", err)
		}
		_, wrong := newKey(t, ipns.Ed25519)
		if _, err := id.Open(wrong, file); err == nil {
			t.Error("it was taken for the key of another name")
		}
		raw, _ := key.Raw()
		if bytes.Contains(file, raw[:32]) {
			t.Error("the file has the key in clear")
		}
	}
	for _, bad := range [][]string{nil, {"age1x"}, {"AGE-SECRET-KEY-1"}, make([]string, maxRecipients+1)} {
		if _, err := Seal(key, bad); err == nil {
			t.Errorf("encrypted to %d recipients %.40q", len(bad), bad)
		}
	}
}
