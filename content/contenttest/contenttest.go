// Package contenttest makes content stores in memory, for tests.
package contenttest

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/content"
)

// Open returns an empty store in memory, which ends with the test.
func Open(t testing.TB) *content.Store {
	t.Helper()
	fs := vfs.NewMem()
	db, err := pebble.Open("db", &pebble.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	s, err := content.Open(t.Context(), content.Options{DB: db, Dir: "db", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Add adds a file to a store, which pins nothing.
func Add(t testing.TB, s *content.Store, body string) cid.Cid {
	t.Helper()
	for a, err := range s.Add(t.Context(), content.FromReader("x", strings.NewReader(body)), content.AddOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if a.Root {
			return a.CID
		}
	}
	t.Fatal("nothing was added")
	return cid.Undef
}
