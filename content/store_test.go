package content

import (
	"context"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"
)

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(f string, a ...any) {
	panic(f)
}

var filesOf sync.Map // the file system of each open database

// openDB opens a database in fs and closes it when the test ends.
func openDB(t testing.TB, fs vfs.FS) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("db", &pebble.Options{FS: fs, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	filesOf.Store(db, fs)
	t.Cleanup(func() {
		filesOf.Delete(db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// placed says where the database of a store is.
func placed(o Options) Options {
	fs, _ := filesOf.Load(o.DB)
	o.Dir, o.FS = "db", fs.(vfs.FS)
	return o
}

// openStore opens a Store and closes it when the test ends.
func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), placed(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func offlineStore(t testing.TB) *Store {
	return openStore(t, Options{DB: openDB(t, vfs.NewMem())})
}

// mustCID parses a CID.
func mustCID(t testing.TB, s string) cid.Cid {
	t.Helper()
	c, err := cid.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCloseLeavesTheDatabaseOpen(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	for range 2 {
		s, err := Open(context.Background(), placed(Options{DB: db}))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Set([]byte("r/own"), nil, pebble.Sync); err != nil {
		t.Fatal(err)
	}
}
