package records

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

func newRepo(t *testing.T) repo.Repo {
	t.Helper()
	r := repo.Repo(filepath.Join(t.TempDir(), "repo"))
	if err := r.Make(); err != nil {
		t.Fatal(err)
	}
	return r
}

// enter enters a name into the store of a repo.
func enter(t *testing.T, r repo.Repo, store string, seed uint64) error {
	t.Helper()
	return With(t.Context(), r, Options{Store: store}, func(s *Store) error {
		_, err := s.Swap(t.Context(), recordstore.Entry{Name: recordstoretest.KeyFromSeed(t, seed).Name, Origin: recordstore.Own}, recordstore.Lease{})
		return err
	})
}

// TestRepoUsesOneStoreOfNames asks for another one than that which has its names.
func TestRepoUsesOneStoreOfNames(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	r := newRepo(t)
	if err := enter(t, r, "", 1); err != nil {
		t.Fatal(err)
	}
	if err := enter(t, r, url, 2); !errors.Is(err, ErrLeft) {
		t.Errorf("a repo with names of its own opens another store: %v", err)
	}
	if err := enter(t, r, "", 3); err != nil {
		t.Errorf("its own store, after another one was refused: %v", err)
	}

	r = newRepo(t)
	if err := enter(t, r, url, 2); err != nil {
		t.Fatal(err)
	}
	if err := enter(t, r, "", 1); !errors.Is(err, ErrElsewhere) {
		t.Errorf("a repo whose names are elsewhere opens its own store: %v", err)
	}
	if err := enter(t, r, url, 4); err != nil {
		t.Errorf("the store of its names, a second time: %v", err)
	}
}

// TestErrorsOfTheStoreHideItsPassword tries URLs that do not work.
func TestErrorsOfTheStoreHideItsPassword(t *testing.T) {
	for _, url := range []string{
		"mysql://ann:hush@localhost/x",
		"postgres://ann:hush%%@localhost/x",
		"postgres://ann:hush@localhost/x?sslmode=hushhush",
		"postgres://ann@localhost:port/x?password=hush",
		"postgres://ann@127.0.0.1:1/x?password=hush&sslmode=disable",
		"postgres://ann:hush@127.0.0.1:1/x?sslmode=disable",
	} {
		err := enter(t, newRepo(t), url, 1)
		if err == nil || strings.Contains(strings.ReplaceAll(err.Error(), "sslmode=hushhush", ""), "hush") {
			t.Errorf("%s: %v", url, err)
		}
		t.Log(err)
	}
}
