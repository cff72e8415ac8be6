package pebble_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

var long = flag.Bool("long", false, "run the tests at full length")

// silent drops what the database logs about the faults that tests cause.
var silent = slog.New(slog.DiscardHandler)

// machine is a store on a disk in memory that can lose power.
type machine struct {
	mem   *vfs.MemFS
	fs    vfs.FS
	db    *pebble.DB
	store *ours.Store
}

func start(mem *vfs.MemFS, fs vfs.FS) (*machine, error) {
	disk := &ours.Disk{Dir: "db", FS: fs, Reserve: -1}
	db, err := ours.OpenDB(context.Background(), disk, silent)
	if err != nil {
		return nil, err
	}
	s, err := ours.New(db, ours.Options{Disk: disk, Log: silent, Witness: "witness"})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &machine{mem, fs, db, s}, nil
}

func (m *machine) Store() recordstore.Store { return m.store }

func (m *machine) Crash(rng *rand.Rand) (recordstoretest.Machine, error) {
	c := m.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	return start(c, c)
}

func (m *machine) Stop() error {
	m.store.Close()
	return m.db.Close()
}

// TestPowerLossTakesNothingAcknowledged cuts the power at random moments, with a random
// part of the unsynced data on disk. R2.
func TestPowerLossTakesNothingAcknowledged(t *testing.T) {
	cycles := 250
	switch {
	case *long:
		cycles = 10_000
	case testing.Short():
		cycles = 60
	}
	begin := time.Now()
	r := recordstoretest.Crashes(t, cycles, 1, func() (recordstoretest.Machine, error) {
		mem := vfs.NewCrashableMem()
		return start(mem, syncFS{mem, slow})
	})
	t.Logf("%v, in %v", r, time.Since(begin).Round(time.Millisecond))
	if r.Broken() || r.Acks < cycles {
		t.Fatal(r.First)
	}
}

// TestPowerLossWithoutSyncIsNoticed shows that the test above can detect a loss: its disk
// ignores fsync. R2.
func TestPowerLossWithoutSyncIsNoticed(t *testing.T) {
	r := recordstoretest.Crashes(t, 60, 1, func() (recordstoretest.Machine, error) {
		mem := vfs.NewCrashableMem()
		return start(mem, syncFS{mem, lying})
	})
	t.Log(r)
	if r.Lost+r.Unopened == 0 {
		t.Fatal("nothing was lost on a disk that never syncs")
	}
}

// syncFS is a disk whose files are synced by the function sync.
type syncFS struct {
	vfs.FS
	sync func(vfs.File) error
}

// slow delays a sync, so that there is a time in which the database shows data that is
// not on disk yet.
func slow(f vfs.File) error {
	time.Sleep(500 * time.Microsecond)
	return f.Sync()
}

// lying ignores a sync.
func lying(vfs.File) error { return nil }

func (f syncFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return syncFile{file, f.sync}, err
}

type syncFile struct {
	vfs.File
	sync func(vfs.File) error
}

func (f syncFile) Sync() error                { return f.sync(f.File) }
func (f syncFile) SyncData() error            { return f.sync(f.File) }
func (f syncFile) SyncTo(int64) (bool, error) { return true, f.sync(f.File) }
