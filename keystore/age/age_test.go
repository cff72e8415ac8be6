package age_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	filippo "filippo.io/age"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/keystore/age"
	"github.com/goipns/ipns/keystore/age/agetest"
)

var secret = []byte("correct horse")

func generate(t testing.TB) (crypto.PrivKey, ipns.Name) {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	return key, name
}

// create returns a keystore with an unlocked vault, whose passphrase costs little work.
func create(t testing.TB) (*keystore.Store, *age.Vault, string) {
	t.Helper()
	dir := t.TempDir()
	if err := agetest.Identity(dir, string(secret)); err != nil {
		t.Fatal(err)
	}
	s, v := lockedAgain(t, dir)
	if err := errors.Join(v.Unlock(secret), v.Complete(dir)); err != nil {
		t.Fatal(err)
	}
	return s, v, dir
}

// write replaces a file.
func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o400); err != nil {
		t.Fatal(err)
	}
}

func TestCreatedVaultsOpenByTheirPassphrase(t *testing.T) {
	dir := t.TempDir()
	v, err := age.Create(dir, secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := age.Create(dir, secret); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created over another one: %v", err)
	}
	key, name := generate(t)
	b, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file, err := v.Encrypt(name, b)
	if err != nil {
		t.Fatal(err)
	}
	_, again := lockedAgain(t, dir)
	if _, err := again.Decrypt(file); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("locked: %v", err)
	}
	if err := again.Unlock(secret); err != nil {
		t.Fatal(err)
	}
	if got, err := again.Decrypt(file); err != nil || !bytes.Equal(got, b) {
		t.Errorf("unlocked: %v", err)
	}
	if _, err := age.Create(t.TempDir(), nil); err == nil {
		t.Error("an empty passphrase was taken")
	}
}

// TestAGuessOfThePassphraseTakesAsMuchWorkAsAgeWants reads the identity's header: 2^18 rounds of scrypt.
func TestAGuessOfThePassphraseTakesAsMuchWorkAsAgeWants(t *testing.T) {
	dir := t.TempDir()
	if _, err := age.Create(dir, secret); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "identity.age"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(b), "\n"); len(lines) < 2 || !strings.HasPrefix(lines[1], "-> scrypt ") || !strings.HasSuffix(lines[1], " 18") {
		t.Errorf("it begins with %q", lines[:min(2, len(lines))])
	}
}

// lockedAgain returns the keystore as a process without the passphrase sees it.
func lockedAgain(t testing.TB, dir string) (*keystore.Store, *age.Vault) {
	t.Helper()
	v, err := age.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := keystore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.Cipher, s.Encrypt = v, true
	return s, v
}

func TestALockedKeyHasANameAndNoSignature(t *testing.T) {
	s, _, dir := create(t)
	key, name := generate(t)
	if err := s.Put("blog", key); err != nil {
		t.Fatal(err)
	}
	raw, err := key.Raw()
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, raw[:32]) || bytes.Contains(b, []byte("AGE-SECRET-KEY")) {
			t.Errorf("%s has a private key in clear", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	locked, v := lockedAgain(t, dir)
	if _, err := locked.Get("blog"); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("without the passphrase: %v", err)
	}
	if got, err := locked.NameOf("blog"); got != name || err != nil {
		t.Errorf("name without the passphrase: %v, %v", got, err)
	}
	other, otherName := generate(t)
	if err := locked.Put("news", other); err != nil { // needs no passphrase
		t.Fatal(err)
	}
	ring := keystore.NewKeyring(locked, otherName, nil)
	list, err := ring.List()
	if err != nil || len(list) != 3 || list[1].Name != name || list[1].Err != nil {
		t.Errorf("keys while locked: %+v, %v", list, err)
	}
	if _, err := ring.Signer(t.Context(), name); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("a signer while locked: %v", err)
	}
	if _, err := ring.Signer(t.Context(), otherName); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("the signer of self while locked: %v", err)
	}
	if err := v.Unlock([]byte("wrong")); !errors.Is(err, age.ErrPassphrase) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	if err := v.Unlock(secret); err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]crypto.PrivKey{"blog": key, "news": other} {
		if got, err := locked.Get(label); err != nil || !got.Equals(want) {
			t.Errorf("%s after unlocking: %v", label, err)
		}
	}
}

func TestAnotherPassphraseOpensTheSameKeys(t *testing.T) {
	s, v, dir := create(t)
	key, _ := generate(t)
	if err := s.Put("blog", key); err != nil {
		t.Fatal(err)
	}
	if err := v.Passphrase(dir, []byte("another")); err != nil {
		t.Fatal(err)
	}
	again, other := lockedAgain(t, dir)
	if err := other.Unlock(secret); !errors.Is(err, age.ErrPassphrase) {
		t.Errorf("the old passphrase: %v", err)
	}
	if err := other.Unlock([]byte("another")); err != nil {
		t.Fatal(err)
	}
	if got, err := again.Get("blog"); err != nil || !got.Equals(key) {
		t.Errorf("after a new passphrase: %v", err)
	}
}

// TestASwappedOrDamagedFileIsNamed swaps the files of two keys, changes each byte of one, and
// writes the name of another key over that in the header.
func TestASwappedOrDamagedFileIsNamed(t *testing.T) {
	s, _, dir := create(t)
	key, name := generate(t)
	_, otherName := generate(t)
	if err := s.Put("blog", key); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "key_mjwg6zy")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(file []byte) error {
		write(t, path, file)
		got, err := s.Get("blog")
		if err == nil && !got.Equals(key) {
			t.Fatal("another key came out")
		}
		return err
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := try(bad); err == nil || !strings.Contains(err.Error(), path) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if i%7 == 0 {
			if err := try(good[:i]); err == nil {
				t.Fatalf("cut at %d: it opened", i)
			}
		}
	}
	if err := try(bytes.Replace(good, []byte(name.String()), []byte(otherName.String()), 1)); err == nil {
		t.Error("a changed name in the header was accepted")
	}
	if err := try(good); err != nil {
		t.Error(err)
	}
}

// TestACrashInCreateIsCompleted has an identity without recipients.
func TestACrashInCreateIsCompleted(t *testing.T) {
	_, _, dir := create(t)
	if err := os.Remove(filepath.Join(dir, "recipients.txt")); err != nil {
		t.Fatal(err)
	}
	s, v := lockedAgain(t, dir)
	key, _ := generate(t)
	if err := s.Put("blog", key); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("encrypting to nobody: %v", err)
	}
	if err := v.Unlock(secret); err != nil {
		t.Fatal(err)
	}
	if err := v.Complete(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Put("blog", key); err != nil {
		t.Error(err)
	}
	write(t, filepath.Join(dir, "recipients.txt"), []byte("junk"))
	s, v = lockedAgain(t, dir)
	if err := v.Unlock(secret); err != nil || v.Damaged() == nil {
		t.Errorf("damaged recipients: %v, %v", err, v.Damaged())
	}
	if got, err := s.Get("blog"); err != nil || !got.Equals(key) {
		t.Errorf("a key beside damaged recipients: %v", err)
	}
	if err := s.Put("news", key); err == nil || !strings.Contains(err.Error(), "recipients.txt") {
		t.Errorf("encrypting to damaged recipients: %v", err)
	}
}

// TestKeysAreForAllRecipients adds the recipient of another daemon, which has an identity of
// its own, and reads the key there.
func TestKeysAreForAllRecipients(t *testing.T) {
	_, _, dir := create(t)
	there, _, otherDir := create(t)
	var both []byte
	for _, d := range []string{dir, otherDir} {
		b, err := os.ReadFile(filepath.Join(d, "recipients.txt"))
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, b...)
	}
	write(t, filepath.Join(dir, "recipients.txt"), both)
	s, _ := lockedAgain(t, dir)
	key, _ := generate(t)
	if err := s.Put("blog", key); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "key_mjwg6zy"), filepath.Join(otherDir, "key_mjwg6zy")); err != nil {
		t.Fatal(err)
	}
	if got, err := there.Get("blog"); err != nil || !got.Equals(key) {
		t.Errorf("by the other daemon: %v", err)
	}
}

// TestFilesCanBeOpenedByHand opens them with the library alone, as the package comment says.
func TestFilesCanBeOpenedByHand(t *testing.T) {
	s, _, dir := create(t)
	key, _ := generate(t)
	if err := s.Put("blog", key); err != nil {
		t.Fatal(err)
	}
	open := func(file string, by filippo.Identity) []byte {
		f, err := os.Open(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := filippo.Decrypt(f, by)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	scrypt, err := filippo.NewScryptIdentity(string(secret))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := filippo.ParseIdentities(bytes.NewReader(open("identity.age", scrypt)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := crypto.UnmarshalPrivateKey(open("key_mjwg6zy", ids[0]))
	if err != nil || !got.Equals(key) {
		t.Errorf("by hand: %v", err)
	}
}

// TestTooMuchWorkIsRefused has an identity whose scrypt would take minutes.
func TestTooMuchWorkIsRefused(t *testing.T) {
	_, _, dir := create(t)
	path := filepath.Join(dir, "identity.age")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, bytes.Replace(b, []byte(" 10\n"), []byte(" 29\n"), 1))
	_, v := lockedAgain(t, dir)
	if err := v.Unlock(secret); err == nil || errors.Is(err, age.ErrPassphrase) {
		t.Errorf("scrypt with 2^29: %v", err)
	}
}

func FuzzName(f *testing.F) {
	s, v, dir := create(f)
	key, _ := generate(f)
	if err := s.Put("blog", key); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "key_mjwg6zy"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("age-encryption.org/v1\n-> ipns-name x\n\n---"))
	f.Fuzz(func(t *testing.T, file []byte) {
		_, _ = v.Name(file)
		if plain, err := v.Decrypt(file); err == nil && !bytes.Equal(file, b) {
			t.Errorf("a made-up file was decrypted to %d bytes", len(plain))
		}
	})
}
