package pebble_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	ours "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(f) }

func openMem(t *testing.T) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("db", &pebble.Options{FS: vfs.NewMem(), Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestStoreLoads(t *testing.T) {
	recordstoretest.RunLoads(t, func(t *testing.T) recordstoretest.Loader {
		s, err := ours.New(openMem(t), ours.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestStore(t *testing.T) {
	recordstoretest.Run(t, func(t *testing.T) recordstoretest.Store {
		s, err := ours.New(openMem(t), ours.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
