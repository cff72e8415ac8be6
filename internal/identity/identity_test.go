package identity_test

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/keystore/age"
	"github.com/goipns/ipns/keystore/age/agetest"
)

var rounds = flag.Int("kills", 6, "how often a conversion of keys is killed")

var secret = []byte("correct horse")

// convertEnv makes the test binary a process that converts the keys of a repo.
const convertEnv = "IPNS_TEST_CONVERT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(convertEnv); dir != "" {
		if err := convert(repo.Repo(dir), os.Args[1] == "decrypt"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func convert(r repo.Repo, decrypt bool) error {
	config, err := r.Config()
	if err != nil {
		return err
	}
	k, err := identity.Open(r, config.Identity, secret)
	if err != nil {
		return err
	}
	if decrypt {
		_, err = k.Decrypt()
	} else {
		_, err = k.Encrypt(secret)
	}
	return err
}

func generate(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// made returns a repo with keys in clear, and those by label.
func made(t testing.TB, count int) (repo.Repo, map[string]crypto.PrivKey) {
	t.Helper()
	r := repo.Repo(filepath.Join(t.TempDir(), "repo"))
	if err := r.Make(); err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.PrivKey{keystore.Self: generate(t)}
	name, err := ipns.NameOf(keys[keystore.Self].GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ipns.MarshalPrivateKey(keys[keystore.Self])
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Create(repo.NewConfig(repo.Identity{PeerID: name.PeerID().String(), PrivKey: base64.StdEncoding.EncodeToString(b)})); err != nil {
		t.Fatal(err)
	}
	files, err := keystore.Open(r.Keystore())
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		label := fmt.Sprintf("key %d", i)
		keys[label] = generate(t)
		if err := files.Put(label, keys[label]); err != nil {
			t.Fatal(err)
		}
	}
	return r, keys
}

// cheap gives a repo a passphrase that costs little work, before its keys are encrypted.
func cheap(t testing.TB, r repo.Repo) {
	t.Helper()
	if err := agetest.Identity(r.Keystore(), string(secret)); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, r repo.Repo, passphrase []byte) *identity.Keys {
	t.Helper()
	config, err := r.Config()
	if err != nil {
		t.Fatal(err)
	}
	k, err := identity.Open(r, config.Identity, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// encrypted encrypts the keys of a repo, of which as many are in clear, and opens it again.
func encrypted(t testing.TB, r repo.Repo, count int) *identity.Keys {
	t.Helper()
	if n, err := open(t, r, secret).Encrypt(secret); n != count || err != nil {
		t.Fatalf("%d keys were encrypted, of %d: %v", n, count, err)
	}
	return open(t, r, secret)
}

// holds checks that all keys are there and can be used.
func holds(t testing.TB, k *identity.Keys, keys map[string]crypto.PrivKey) {
	t.Helper()
	if k.Damaged != nil {
		t.Error(k.Damaged)
	}
	for label, want := range keys {
		got, err := k.Self, error(nil)
		if label != keystore.Self {
			got, err = k.Store.Get(label)
		}
		if err != nil || got == nil || !got.Equals(want) {
			t.Errorf("key %q: %v", label, err)
		}
	}
}

// inClear lists the files of a repo that have one of the keys in clear.
func inClear(t testing.TB, r repo.Repo, keys map[string]crypto.PrivKey) (files []string) {
	t.Helper()
	err := filepath.WalkDir(string(r), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, key := range keys {
			raw, _ := key.Raw()
			all, _ := ipns.MarshalPrivateKey(key)
			if strings.Contains(string(b), string(raw)) || strings.Contains(string(b), base64.StdEncoding.EncodeToString(all)) {
				files = append(files, path)
				break
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestKeysAreEncryptedOnceAPassphraseIsGiven(t *testing.T) {
	r, keys := made(t, 3)
	k := encrypted(t, r, len(keys))
	holds(t, k, keys)
	if left := inClear(t, r, keys); left != nil {
		t.Errorf("in clear: %q", left)
	}
	locked := open(t, r, nil)
	if !locked.Locked() || locked.Name != k.Name {
		t.Errorf("without the passphrase: locked %v, self is %v", locked.Locked(), locked.Name)
	}
	before := contents(t, r)
	config, err := r.Config()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Open(r, config.Identity, []byte("wrong")); !errors.Is(err, age.ErrPassphrase) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	if after := contents(t, r); before != after {
		t.Error("a wrong passphrase changed the repo")
	}
	// A passphrase alone converts nothing; what was put there in clear is encrypted on request.
	plain, err := keystore.Open(r.Keystore())
	if err != nil {
		t.Fatal(err)
	}
	keys["late"] = generate(t)
	if err := plain.Put("late", keys["late"]); err != nil {
		t.Fatal(err)
	}
	k = encrypted(t, r, 1)
	if holds(t, k, keys); inClear(t, r, keys) != nil {
		t.Error("keys are in clear")
	}
	if _, err := k.Decrypt(); err != nil {
		t.Fatal(err)
	}
	k = open(t, r, nil)
	if holds(t, k, keys); k.Locked() {
		t.Error("not in clear after Decrypt")
	}
	if left, _ := filepath.Glob(filepath.Join(r.Keystore(), "*.age")); left != nil {
		t.Errorf("left over: %q", left)
	}
}

func contents(t testing.TB, r repo.Repo) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(string(r), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(&all, "%s %q\n", path, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestADamagedKeyIsNamedAndBlocksNothing(t *testing.T) {
	r, keys := made(t, 2)
	cheap(t, r)
	bad := filepath.Join(r.Keystore(), "key_mjqwi")
	if err := os.WriteFile(bad, []byte("no key"), 0o400); err != nil {
		t.Fatal(err)
	}
	k := open(t, r, secret)
	if n, err := k.Encrypt(secret); n != len(keys) || err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("%d keys encrypted, the damaged key: %v", n, err)
	}
	holds(t, k, keys)
	if b, err := os.ReadFile(bad); string(b) != "no key" || err != nil {
		t.Errorf("the damaged file is now %q, %v", b, err)
	}
	// It may be one that could still be repaired, so what decrypts the others stays.
	if _, err := k.Decrypt(); err != nil {
		t.Errorf("a file in clear that is damaged: %v", err)
	}
}

func TestAMissingIdentityIsNotReplaced(t *testing.T) {
	r, _ := made(t, 1)
	cheap(t, r)
	encrypted(t, r, 2)
	if err := os.Remove(filepath.Join(r.Keystore(), "identity.age")); err != nil {
		t.Fatal(err)
	}
	config, err := r.Config()
	if err != nil {
		t.Fatal(err)
	}
	for _, passphrase := range [][]byte{nil, secret} {
		k, err := identity.Open(r, config.Identity, passphrase)
		if err != nil || !k.Locked() {
			t.Fatalf("without the identity: %v", err)
		}
		if _, err := k.Encrypt(secret); err == nil || !strings.Contains(err.Error(), "identity.age is missing") {
			t.Errorf("encrypting: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(r.Keystore(), "identity.age")); err == nil {
		t.Error("another identity was made")
	}
}

func TestAnotherSelfIsMendedAfterACrash(t *testing.T) {
	r, _ := made(t, 1)
	cheap(t, r)
	k := encrypted(t, r, 2)
	config, err := r.Config()
	if err != nil {
		t.Fatal(err)
	}
	old := config.Identity
	next := generate(t)
	if err := k.SetSelf(repo.Identity{PeerID: "of the new key", PrivKey: "secret"}, next); err != nil {
		t.Fatal(err)
	}
	if config, err = r.Config(); err != nil || config.Identity.PrivKey != "" {
		t.Errorf("a key is in the config: %v", err)
	}
	if err := r.SetIdentity(old); err != nil { // as if a crash had come before it
		t.Fatal(err)
	}
	k = open(t, r, secret)
	if !k.Self.Equals(next) {
		t.Error("self is not the new key")
	}
	if config, err = r.Config(); err != nil || config.Identity.PeerID != k.Name.PeerID().String() {
		t.Errorf("the peer id is %s, %v", config.Identity.PeerID, err)
	}
}

// TestKilledConversionsLoseNoKey kills a process that encrypts keys, and one that decrypts
// them, at points that the files show. -kills=200 is the long form.
func TestKilledConversionsLoseNoKey(t *testing.T) {
	const count = 30
	r, keys := made(t, count)
	cheap(t, r)
	hits := 0
	// On a busy machine a process may end before its files were looked at: some must not.
	for i := 0; i < *rounds || hits == 0 && i < 20**rounds; i++ {
		decrypt := i%2 == 1
		want := rand.IntN(count + 3)
		if killAt(t, r, decrypt, want) {
			hits++
		}
		config, err := r.Config()
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if _, err := identity.Open(r, config.Identity, nil); err != nil { // whatever was left can be opened
			t.Fatalf("round %d: %v", i, err)
		}
		k, err := identity.Open(r, config.Identity, secret)
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		holds(t, k, keys)
		if _, err := k.Encrypt(secret); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if holds(t, k, keys); inClear(t, r, keys) != nil {
			t.Errorf("round %d: keys are in clear", i)
		}
		if decrypt {
			if _, err := k.Decrypt(); err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
			cheap(t, r)
		}
		if t.Failed() {
			t.Fatalf("round %d, killed at %d", i, want)
		}
	}
	t.Logf("%d were killed before they ended", hits)
	if hits == 0 {
		t.Error("no process was killed in time")
	}
}

// killAt starts a conversion and kills it when as many files are converted. It reports
// whether it was still at work.
func killAt(t *testing.T, r repo.Repo, decrypt bool, files int) bool {
	t.Helper()
	mode := "encrypt"
	if decrypt {
		mode = "decrypt"
	}
	cmd := exec.Command(os.Args[0], mode)
	cmd.Env = append(os.Environ(), convertEnv+"="+string(r))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%s: %v", mode, err)
			}
			return false
		case <-time.After(200 * time.Microsecond):
		}
		if converted(r, decrypt) >= files {
			_ = cmd.Process.Kill()
			return <-ended != nil
		}
	}
}

// converted counts the steps of a conversion that are done.
func converted(r repo.Repo, decrypt bool) (n int) {
	list, _ := filepath.Glob(filepath.Join(r.Keystore(), "*"))
	for _, path := range list {
		b, err := os.ReadFile(path)
		if err == nil && strings.HasPrefix(string(b), "age-encryption.org/") != decrypt {
			n++
		}
	}
	return n
}

// TestANewKeyIsWrittenAsTheOthersAre has a repo in which a conversion was interrupted, so that
// there is an identity and the key of the node is in clear.
func TestANewKeyIsWrittenAsTheOthersAre(t *testing.T) {
	r, keys := made(t, 1)
	cheap(t, r)
	k := open(t, r, nil)
	if k.Locked() {
		t.Error("locked, although nothing is encrypted")
	}
	keys["new"] = generate(t)
	if err := k.Store.Put("new", keys["new"]); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t, r, nil), keys)
	holds(t, encrypted(t, r, 3), keys)
	// One key that is locked is enough to say so.
	if _, err := open(t, r, secret).Decrypt(); err != nil {
		t.Fatal(err)
	}
	cheap(t, r)
	k = open(t, r, secret)
	k.Store.Encrypt = true
	keys["sealed"] = generate(t)
	if err := k.Store.Put("sealed", keys["sealed"]); err != nil {
		t.Fatal(err)
	}
	if k = open(t, r, nil); !k.Locked() || k.Self == nil {
		t.Errorf("with one locked key: %v", k.Locked())
	}
	if err := os.Remove(filepath.Join(r.Keystore(), "identity.age")); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, r, secret).Encrypt(secret); err == nil || !strings.Contains(err.Error(), "identity.age is missing") {
		t.Errorf("encrypting beside a key of a lost identity: %v", err)
	}
}

func TestCopiesOfTheConfigForgetTheKey(t *testing.T) {
	r, keys := made(t, 1)
	config, err := os.ReadFile(filepath.Join(string(r), "config"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config-pre-server-1", "config.edit"} { // as earlier versions wrote them
		if err := os.WriteFile(filepath.Join(string(r), name), config, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cheap(t, r)
	encrypted(t, r, 2)
	if left := inClear(t, r, keys); left != nil {
		t.Errorf("in clear: %q", left)
	}
}

// TestTheKeyOfALostConfigIsFound loses the config after the keys were encrypted.
func TestTheKeyOfALostConfigIsFound(t *testing.T) {
	r, keys := made(t, 1)
	if key, err := identity.Left(r, nil); key != nil || err != nil {
		t.Errorf("nothing is left: %v, %v", key, err)
	}
	cheap(t, r)
	encrypted(t, r, 2)
	if err := os.Remove(filepath.Join(string(r), "config")); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Left(r, nil); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("without the passphrase: %v", err)
	}
	if key, err := identity.Left(r, secret); err != nil || !key.Equals(keys[keystore.Self]) {
		t.Errorf("with it: %v", err)
	}
}
