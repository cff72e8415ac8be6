package keystore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
)

func openRing(t *testing.T) (*keystore.Keyring, *keystore.Store, string) {
	t.Helper()
	s, dir := open(t)
	self := generate(t)
	name, err := ipns.NameOf(self.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	return keystore.NewKeyring(s, name, self), s, dir
}

// signs fails unless the keyring signs for the name with the key that has the label.
func signs(t *testing.T, k *keystore.Keyring, name ipns.Name, label string) {
	t.Helper()
	key, err := k.Of(name)
	if err != nil || key.Label != label {
		t.Errorf("key of %s: %+v, %v, want %s", name, key, err, label)
	}
	signer, err := k.Signer(t.Context(), name)
	if err != nil {
		t.Errorf("signer of %s: %v", label, err)
		return
	}
	if of, err := ipns.NameOf(signer.Public()); err != nil || of != name {
		t.Errorf("the signer of %s signs for %v, %v", label, of, err)
	}
}

func create(t *testing.T, k *keystore.Keyring, label string) keystore.Key {
	t.Helper()
	key, err := k.Create(t.Context(), label, ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A renamed key still signs when another key takes its old label.
func TestARenamedKeySignsOn(t *testing.T) {
	k, _, _ := openRing(t)
	blog := create(t, k, "blog")
	signs(t, k, blog.Name, "blog")
	if _, _, err := k.Rename("blog", "old", false); err != nil {
		t.Fatal(err)
	}
	second := create(t, k, "blog")
	signs(t, k, blog.Name, "old")
	signs(t, k, second.Name, "blog")
	if _, overwrote, err := k.Rename("old", "blog", true); err != nil || !overwrote {
		t.Fatal(overwrote, err)
	}
	signs(t, k, blog.Name, "blog")
	if _, err := k.Signer(t.Context(), second.Name); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("signer of a key that was overwritten: %v", err)
	}
	if _, err := k.Remove("blog"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Signer(t.Context(), blog.Name); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("signer of a key that was removed: %v", err)
	}
}

// Changes by another process are visible at once.
func TestChangesByOthersAreSeen(t *testing.T) {
	k, _, dir := openRing(t)
	first := create(t, k, "a")
	other, err := keystore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := other.Rename([]string{"a", "b"}[i%2], []string{"b", "a"}[i%2], false); err != nil {
			t.Fatal(err)
		}
		signs(t, k, first.Name, []string{"b", "a"}[i%2])
	}
	if err := other.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Find(t.Context(), "a"); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("a key that another process removed: %v", err)
	}
}

// A key is found by its label, name or peer id, including self.
func TestFind(t *testing.T) {
	k, _, _ := openRing(t)
	blog := create(t, k, "@owner/project")
	for _, text := range []string{blog.Label, blog.Name.String(), blog.Name.PeerID().String(), "/ipns/" + blog.Name.String()} {
		if got, err := k.Find(t.Context(), text); err != nil || got != blog {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	self, err := k.Find(t.Context(), keystore.Self)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, k, self.Name, keystore.Self)
	list, err := k.List()
	if err != nil || len(list) != 2 || list[0] != self || list[1] != blog {
		t.Errorf("list %+v, %v", list, err)
	}
	for _, label := range []string{keystore.Self, "@owner/project"} {
		if _, err := k.Import(label, generate(t)); !errors.Is(err, keystore.ErrExist) {
			t.Errorf("import as %s: %v", label, err)
		}
	}
}

// A damaged file affects only its own key, which can be renamed and removed.
func TestADamagedKeyHidesNoOther(t *testing.T) {
	k, _, dir := openRing(t)
	create(t, k, "a")
	good := create(t, k, "b")
	file := filepath.Join(dir, "key_me")
	if err := errors.Join(os.Remove(file), os.WriteFile(file, []byte("junk"), 0o400)); err != nil {
		t.Fatal(err)
	}
	list, err := k.List()
	if err != nil || len(list) != 3 || list[1].Err == nil || list[2] != good {
		t.Errorf("list %+v, %v", list, err)
	}
	if _, err := k.Find(t.Context(), "a"); err == nil || errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("a damaged key: %v", err)
	}
	signs(t, k, good.Name, "b")
	if _, _, err := k.Rename("a", "broken", false); err != nil {
		t.Error(err)
	}
	if _, err := k.Remove("broken"); err != nil {
		t.Error(err)
	}
}

// The store is told before the key is written, so there is never a key without that
// record.
func TestBeginComesBeforeTheKey(t *testing.T) {
	k, s, _ := openRing(t)
	full := errors.New("disk is full")
	k.Begin = func(_ context.Context, name ipns.Name) error {
		if s.Has("blog") {
			t.Error("the key is stored before the note")
		}
		return full
	}
	if _, err := k.Create(t.Context(), "blog", ipns.Ed25519, 0); !errors.Is(err, full) {
		t.Errorf("create: %v", err)
	}
	if s.Has("blog") {
		t.Error("a key without a note")
	}
}
