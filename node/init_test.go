package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/records"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/names"
)

// newConfig is a config of the profile test with a new key.
func newConfig(t *testing.T) (repo.Config, ipns.Name) {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	id, err := Identity(key)
	if err != nil {
		t.Fatal(err)
	}
	c := repo.NewConfig(id)
	if err := c.Apply("test"); err != nil {
		t.Fatal(err)
	}
	return c, name
}

// TestInitFinishesWhatACrashLeft ends an Init before each of its steps.
func TestInitFinishesWhatACrashLeft(t *testing.T) {
	ctx := t.Context()
	unused, name := newConfig(t)
	enter := func(r repo.Repo) error {
		return records.With(ctx, r, records.Options{}, func(s *records.Store) error { return (&names.Book{Store: s}).Create(ctx, name) })
	}
	for i, crash := range []func(r repo.Repo) error{
		func(repo.Repo) error { return nil },
		func(r repo.Repo) error { return r.Make() },
		func(r repo.Repo) error { return errors.Join(r.Make(), enter(r)) },
		func(r repo.Repo) error {
			return errors.Join(r.Make(), enter(r), os.WriteFile(filepath.Join(string(r), "version"), nil, 0o600))
		},
	} {
		r := repo.Repo(filepath.Join(t.TempDir(), "repo"))
		if err := crash(r); err != nil {
			t.Fatal(err)
		}
		if r.Exists() {
			t.Errorf("crash %d: half a repo", i)
		}
		c, name := newConfig(t)
		if err := Init(ctx, r, c, nil); err != nil {
			t.Fatalf("init after crash %d: %v", i, err)
		}
		if err := Init(ctx, r, unused, nil); !errors.Is(err, fs.ErrExist) {
			t.Errorf("init of a repo: %v", err)
		}
		n, err := New(ctx, r, Config{Offline: true})
		if err != nil {
			t.Fatal(err)
		}
		e, err := n.Book.Get(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if known, err := n.Book.Known(ctx, e); err != nil || !known || n.Name != name {
			t.Errorf("after crash %d: the sequence of the new key is unknown: %v", i, err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}
