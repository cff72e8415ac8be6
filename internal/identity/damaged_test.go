package identity_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/keystore/age"
)

// TestWhatIsForAnotherDaemonIsNotLocked has a key file that is encrypted to somebody else, and one
// that is cut: both are named, and no passphrase is missing.
func TestWhatIsForAnotherDaemonIsNotLocked(t *testing.T) {
	r, keys := made(t, 1)
	cheap(t, r)
	encrypted(t, r, 2)
	other, _ := made(t, 1)
	cheap(t, other)
	encrypted(t, other, 2)
	foreign, err := os.ReadFile(filepath.Join(other.Keystore(), "key_nnsxsibq")) // "key 0"
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"key_mzxxe": foreign, "key_mn2xi": foreign[:len(foreign)/2]} { // "for", "cut"
		if err := os.WriteFile(filepath.Join(r.Keystore(), name), b, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	k := open(t, r, secret)
	if holds(t, k, keys); k.Locked() {
		t.Error("locked, although the passphrase is known")
	}
	list, err := keystore.NewKeyring(k.Store, k.Name, k.Self).List()
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, key := range list {
		if key.Err != nil {
			named++
		}
	}
	if named != 2 {
		t.Errorf("%d of 2 files are named as damaged", named)
	}
	if n, err := k.Decrypt(); n != 1 || err == nil || !strings.Contains(err.Error(), "key_mzxxe") || !strings.Contains(err.Error(), "key_mn2xi") {
		t.Errorf("%d decrypted, %v", n, err)
	}
	// What a decryption that stopped has left of self does not look like that of another node.
	k = open(t, r, secret)
	next := generate(t)
	name, err := ipns.NameOf(next.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ipns.MarshalPrivateKey(next)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.SetSelf(repo.Identity{PeerID: name.PeerID().String(), PrivKey: base64.StdEncoding.EncodeToString(b)}, next); err != nil {
		t.Fatal(err)
	}
	keys[keystore.Self] = next
	k = open(t, r, secret)
	if _, err := k.Encrypt(secret); err != nil && strings.Contains(err.Error(), "another node") {
		t.Error(err)
	}
	holds(t, open(t, r, secret), keys)
}

// TestADamagedIdentityLocksTheKeysAndBlocksNothing gives the passphrase to a repo whose identity.age
// is cut, empty or too large, or asks for more work than is allowed.
func TestADamagedIdentityLocksTheKeysAndBlocksNothing(t *testing.T) {
	r, keys := made(t, 1)
	cheap(t, r)
	encrypted(t, r, 2)
	path := filepath.Join(r.Keystore(), "identity.age")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config, err := r.Config()
	if err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string]string{
		"cut": string(good[:len(good)/2]), "empty": "", "no age file": "hello", "large": strings.Repeat("x", 20<<10),
		"too much work": strings.Replace(string(good), " 10\n", " 30\n", 1),
	} {
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte(bad), 0o600)); err != nil {
			t.Fatal(err)
		}
		k, err := identity.Open(r, config.Identity, secret)
		if err != nil || !k.Locked() || k.Name.IsZero() {
			t.Fatalf("%s: %v", what, err)
		}
		if !errors.Is(k.Damaged, age.ErrDamaged) {
			t.Errorf("%s: named as %v", what, k.Damaged)
		}
		if _, err := k.Store.Get("key 0"); !errors.Is(err, age.ErrDamaged) {
			t.Errorf("%s: a key: %v", what, err)
		}
		// What nobody could read is not written.
		if err := k.Store.Put("new", generate(t)); !errors.Is(err, age.ErrDamaged) {
			t.Errorf("%s: a new key: %v", what, err)
		}
		_, enc := k.Encrypt(secret)
		_, dec := k.Decrypt()
		for _, err := range []error{enc, dec, k.SetPassphrase([]byte("other"))} {
			if !errors.Is(err, age.ErrDamaged) {
				t.Errorf("%s: converting: %v", what, err)
			}
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t, r, secret), keys)
}

// TestKeysAreSharedWithDaemonsThatAreAddedLater adds the recipient of another daemon to a repo
// whose keys are encrypted, and gives the other one a file.
func TestKeysAreSharedWithDaemonsThatAreAddedLater(t *testing.T) {
	r, keys := made(t, 1)
	cheap(t, r)
	encrypted(t, r, 2)
	other, _ := made(t, 0)
	cheap(t, other)
	encrypted(t, other, 1)
	theirs, err := os.ReadFile(filepath.Join(other.Keystore(), "recipients.txt"))
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(r.Keystore(), "recipients.txt")
	ours, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, append(ours, theirs...), 0o600); err != nil {
		t.Fatal(err)
	}
	k := open(t, r, secret)
	if _, err := k.Encrypt(secret); err != nil {
		t.Fatal(err)
	}
	if err := k.Reseal(); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t, r, secret), keys)
	file, err := os.ReadFile(filepath.Join(r.Keystore(), "key_nnsxsibq"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other.Keystore(), "key_nnsxsibq"), file, 0o400); err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, other, secret).Store.Get("key 0"); err != nil || !got.Equals(keys["key 0"]) {
		t.Errorf("the other daemon: %v", err)
	}
}
