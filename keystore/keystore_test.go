package keystore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
)

func open(t *testing.T) (*keystore.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keystore")
	s, err := keystore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func generate(t *testing.T) crypto.PrivKey {
	t.Helper()
	k, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustGet(t *testing.T, s *keystore.Store, name string, want crypto.PrivKey) {
	t.Helper()
	got, err := s.Get(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !got.Equals(want) {
		t.Errorf("%s: another key", name)
	}
}

// N-30
func TestLayout(t *testing.T) {
	s, dir := open(t)
	key := generate(t)
	if err := s.Put("blog", key); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "key_mjwg6zy")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != 68 || !bytes.HasPrefix(b, []byte{0x08, 0x01, 0x12, 0x40}) {
		t.Errorf("file holds %x", b)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, file: 0o400} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".tmp-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	mustGet(t, s, "blog", key)
}

// N-31
func TestNames(t *testing.T) {
	s, _ := open(t)
	key := generate(t)
	taken := []string{"a", "My-Site_2.0", "@owner/project", "../x", "a b", "ü", strings.Repeat("x", 156)}
	for _, name := range taken {
		if err := s.Put(name, key); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		mustGet(t, s, name, key)
	}
	for _, name := range []string{"", "x\x00", "two\nlines", "\xff", "\u009b", strings.Repeat("x", 157)} {
		if err := s.Put(name, key); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	got, err := s.List()
	want := slices.Sorted(slices.Values(taken))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("List: %q, %v, want %q", got, err, want)
	}
}

func TestNeverOverwritten(t *testing.T) {
	s, _ := open(t)
	first, second := generate(t), generate(t)
	if err := s.Put("blog", first); err != nil {
		t.Fatal(err)
	}
	if err := s.Put("blog", second); !errors.Is(err, keystore.ErrExist) {
		t.Errorf("second Put: %v", err)
	}
	if err := s.Put("shop", second); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rename("shop", "blog", false); !errors.Is(err, keystore.ErrExist) {
		t.Errorf("Rename: %v", err)
	}
	mustGet(t, s, "blog", first)
	mustGet(t, s, "shop", second)
}

// Of many concurrent Puts of one label, one wins and its key stays.
func TestConcurrentPut(t *testing.T) {
	s, dir := open(t)
	other, err := keystore.Open(dir) // as another process would
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]crypto.PrivKey, 16)
	errs := make([]error, len(keys))
	var wg sync.WaitGroup
	for i := range keys {
		keys[i] = generate(t)
		store := []*keystore.Store{s, other}[i%2]
		wg.Go(func() { errs[i] = store.Put("blog", keys[i]) })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("both %d and %d were told that they put the key", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, keystore.ErrExist):
			t.Error(err)
		}
	}
	if winner < 0 {
		t.Fatal("nobody put the key")
	}
	mustGet(t, s, "blog", keys[winner])
}

// N-49
func TestRenameAndRemove(t *testing.T) {
	s, _ := open(t)
	a, b := generate(t), generate(t)
	if err := errors.Join(s.Put("a", a), s.Put("b", b)); err != nil {
		t.Fatal(err)
	}
	if over, err := s.Rename("a", "a", false); over || err != nil {
		t.Errorf("to its own name: %v, %v", over, err)
	}
	if over, err := s.Rename("a", "c", false); over || err != nil {
		t.Errorf("to a free name: %v, %v", over, err)
	}
	if _, err := s.Get("a"); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("the old name: %v", err)
	}
	if over, err := s.Rename("c", "b", true); !over || err != nil {
		t.Errorf("over another: %v, %v", over, err)
	}
	mustGet(t, s, "b", a)
	if _, err := s.Rename("none", "x", false); err == nil || err.Error() != "no key named none was found" {
		t.Errorf("no such key: %v", err)
	}
	if _, err := s.Rename("b", "x\ny", true); err == nil {
		t.Error("renamed to a bad name")
	}
	if err := s.Remove("b"); err != nil || s.Has("b") {
		t.Errorf("Remove: %v", err)
	}
	if err := s.Remove("b"); err == nil || err.Error() != "no key named b was found" || !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// After a crash during a rename, a key has both labels; another rename finishes it.
func TestRenameGoesOnAfterACrash(t *testing.T) {
	for _, overwrite := range []bool{false, true} {
		s, dir := open(t)
		key := generate(t)
		if err := s.Put("a", key); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(filepath.Join(dir, "key_me"), filepath.Join(dir, "key_mi")); err != nil {
			t.Fatal(err)
		}
		if over, err := s.Rename("a", "b", overwrite); over || err != nil {
			t.Errorf("overwrite %v: %v, %v", overwrite, over, err)
		}
		mustGet(t, s, "b", key)
		if s.Has("a") {
			t.Errorf("overwrite %v: the old name is still there", overwrite)
		}
	}
}

// TestARenameThatACrashInterruptedGoesOnOnceTheKeyIsEncrypted has both labels converted, so that
// they are two files.
func TestARenameThatACrashInterruptedGoesOnOnceTheKeyIsEncrypted(t *testing.T) {
	s, dir := open(t)
	s.Cipher = reverse{}
	key, other := generate(t), generate(t)
	if err := errors.Join(s.Put("a", key), s.Put("c", other)); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "key_me"), filepath.Join(dir, "key_mi")); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Convert(false); n != 3 || err != nil {
		t.Fatalf("%d converted, %v", n, err)
	}
	if over, err := s.Rename("a", "b", false); over || err != nil || s.Has("a") {
		t.Errorf("the key is still there twice: %v", err)
	}
	if _, err := s.Rename("b", "c", false); !errors.Is(err, keystore.ErrExist) {
		t.Errorf("to a label of another key: %v", err)
	}
	mustGet(t, s, "b", key)
	mustGet(t, s, "c", other)
}

// reverse is a cipher that hides nothing.
type reverse struct{}

const reversed = "age-encryption.org/reversed "

func (reverse) Encrypt(name ipns.Name, key []byte) ([]byte, error) {
	b := []byte(reversed + name.String() + " ")
	for i := range key {
		b = append(b, key[len(key)-1-i])
	}
	return b, nil
}

func (reverse) split(file []byte) (name, key []byte) {
	name, key, _ = bytes.Cut(bytes.TrimPrefix(file, []byte(reversed)), []byte(" "))
	return name, key
}

func (r reverse) Decrypt(file []byte) ([]byte, error) {
	_, key := r.split(file)
	key = slices.Clone(key)
	slices.Reverse(key)
	return key, nil
}

func (r reverse) Name(file []byte) (ipns.Name, error) {
	name, _ := r.split(file)
	return ipns.ParseName(string(name))
}

// Temporary files left by kill -9 are removed at the next start.
func TestCleanRemovesLeftovers(t *testing.T) {
	s, dir := open(t)
	key := generate(t)
	left := filepath.Join(dir, ".tmp-123")
	if err := errors.Join(s.Put("a", key), os.WriteFile(left, []byte("half a key"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Clean(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover: %v", err)
	}
	mustGet(t, s, "a", key)
}

// A file that is not a key affects only that key, and its error does not show the
// content.
func TestDamagedFile(t *testing.T) {
	s, dir := open(t)
	good := generate(t)
	if err := s.Put("good", good); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"key_mjqwi":   "secret, but no key", // "bad"
		"key_!":       "not base32",
		"unrelated":   "x",
		".tmp-123456": "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names, err := s.List()
	if err != nil || fmt.Sprint(names) != "[bad good]" {
		t.Errorf("List: %v, %v", names, err)
	}
	if _, err := s.Get("bad"); err == nil || !strings.Contains(err.Error(), `"bad"`) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Get: %v", err)
	}
	mustGet(t, s, "good", good)
}
