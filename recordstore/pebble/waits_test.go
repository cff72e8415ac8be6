package pebble_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// soon runs f and fails the test if it does not end.
func soon(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatalf("%s does not end", what)
		return nil
	}
}

// stuck returns a store whose disk has just become full, unnoticed so far.
func stuck(t *testing.T) (fs *fullFS, disk *ours.Disk, db *pebble.DB, s *ours.Store, l *ledger) {
	t.Helper()
	fs = &fullFS{FS: vfs.NewMem()}
	fs.free()
	disk = &ours.Disk{Dir: "db", FS: fs, Reserve: -1}
	db, err := ours.OpenDB(t.Context(), disk, silent)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = ours.New(db, ours.Options{Disk: disk, Log: silent}); err != nil {
		t.Fatal(err)
	}
	l = newLedger(t, 3)
	if err := l.swap(t, s, 0); err != nil {
		t.Fatal(err)
	}
	fs.left.Store(0)
	return fs, disk, db, s, l
}

// TestEveryWriteOnAFullDiskEnds fills the disk silently, so that each operation in turn
// is the first to find no space.
func TestEveryWriteOnAFullDiskEnds(t *testing.T) {
	ctx := context.Background()
	for what, op := range map[string]func(s *ours.Store, l *ledger, d *ours.Disk, db *pebble.DB) error{
		"swap":  func(s *ours.Store, l *ledger, _ *ours.Disk, _ *pebble.DB) error { return l.swap(t, s, 1) },
		"sync":  func(s *ours.Store, _ *ledger, _ *ours.Disk, _ *pebble.DB) error { return s.Sync(ctx) },
		"renew": func(s *ours.Store, _ *ledger, _ *ours.Disk, _ *pebble.DB) error { return s.Renew() },
		"content": func(_ *ours.Store, _ *ledger, d *ours.Disk, db *pebble.DB) error {
			return d.Spare(ctx, func() error { return db.Set([]byte("/b"), make([]byte, 1<<20), pebble.Sync) })
		},
		"close database": func(_ *ours.Store, _ *ledger, d *ours.Disk, db *pebble.DB) error {
			if err := db.Set([]byte("/b"), []byte("x"), pebble.NoSync); err != nil {
				return err
			}
			return ours.CloseDB(ctx, d, db)
		},
	} {
		fs, disk, db, s, l := stuck(t)
		if err := soon(t, what, func() error { return op(s, l, disk, db) }); !errors.Is(err, recordstore.ErrFull) {
			t.Errorf("%s on a full disk: %v", what, err)
		}
		if what != "close database" {
			if err := l.check(s); err != nil {
				t.Errorf("%s: reading: %v", what, err)
			}
			if err := soon(t, "second write", func() error { return s.Sync(ctx) }); !errors.Is(err, recordstore.ErrFull) {
				t.Errorf("%s: the next write: %v", what, err)
			}
		}
		if err := soon(t, "close of the store after "+what, s.Close); err != nil {
			t.Errorf("close of the store after %s: %v", what, err)
		}
		fs.free() // blocked writes end
	}
}

// TestReadersDoNotWaitBehindClose closes a store while a write is blocked.
func TestReadersDoNotWaitBehindClose(t *testing.T) {
	fs, disk, db, s, l := stuck(t)
	defer fs.free()
	if err := l.swap(t, s, 1); !errors.Is(err, recordstore.ErrDoubt) {
		t.Fatal(err)
	}
	if err := soon(t, "close", s.Close); err != nil {
		t.Error(err)
	}
	err := soon(t, "read", func() error { _, err := s.Get(context.Background(), l.keys[0].Name); return err })
	if !errors.Is(err, recordstore.ErrClosed) {
		t.Errorf("reading after close: %v", err)
	}
	if err := soon(t, "close of the database", func() error { return ours.CloseDB(context.Background(), disk, db) }); !errors.Is(err, recordstore.ErrFull) {
		t.Errorf("closing the database: %v", err)
	}
}

// hangingFS is a disk whose fsync blocks while held.
type hangingFS struct {
	vfs.FS
	held chan struct{}
}

type hangingFile struct {
	vfs.File
	held chan struct{}
}

func (f hangingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return hangingFile{file, f.held}, err
}

func (f hangingFile) Sync() error     { <-f.held; return f.File.Sync() }
func (f hangingFile) SyncData() error { <-f.held; return f.File.SyncData() }

// TestWriteEndsWithItsContext: a write ends with its context on a disk that does not
// respond.
func TestWriteEndsWithItsContext(t *testing.T) {
	t.Parallel() // it mostly waits
	held := make(chan struct{}, 1000)
	for range 200 {
		held <- struct{}{} // for opening
	}
	m, err := start(vfs.NewMem(), hangingFS{vfs.NewMem(), held})
	if err != nil {
		t.Fatal(err)
	}
	l := newLedger(t, 1)
	for len(held) > 0 {
		<-held
	}
	next := l.keys[0].Entry(t, 1, recordstoretest.Value(1), recordstore.Own)
	recordstoretest.SwapInDoubt(t, m.store, next)
	if _, err := m.store.Get(t.Context(), next.Name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Errorf("an entry that may not be on disk is shown: %v", err)
	}
	close(held)
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, err := m.store.Get(t.Context(), next.Name); err == nil {
			break
		}
		if time.Since(begin) > patience {
			t.Fatal("the write never became visible")
		}
	}
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
}

// usageFS reports the given disk usage.
type usageFS struct {
	vfs.FS
	usage vfs.DiskUsage
}

func (f *usageFS) GetDiskUsage(string) (vfs.DiskUsage, error) { return f.usage, nil }

func TestReserveFollowsTheSizeOfTheDisk(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		total, free uint64
		room, spare bool
	}{
		{10_000 * mib, 65 * mib, true, false},
		{10_000 * mib, 129 * mib, true, true},
		{10_000 * mib, 63 * mib, false, false},
		{100 * mib, 11 * mib, true, false},
		{100 * mib, 21 * mib, true, true},
		{100 * mib, 9 * mib, false, false},
		{0, 63 * mib, false, false}, // unknown
	} {
		d := &ours.Disk{Dir: "db", FS: &usageFS{vfs.NewMem(), vfs.DiskUsage{AvailBytes: tt.free, TotalBytes: tt.total}}}
		nothing := func() error { return nil }
		room, spare := d.Do(t.Context(), nothing), d.Spare(t.Context(), nothing)
		if (room == nil) != tt.room || (spare == nil) != tt.spare {
			t.Errorf("%d of %d MiB free: names %v, content %v", tt.free/mib, tt.total/mib, room, spare)
		}
		if room != nil && !errors.Is(room, recordstore.ErrFull) {
			t.Error(room)
		}
	}
}

// TestDeletedDatabaseTakesNothing deletes the database's directory under an open store.
func TestDeletedDatabaseTakesNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, gone := range []string{"deleted", "moved", "its files deleted"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "db")
		disk := &ours.Disk{Dir: path, Reserve: -1}
		db, err := ours.OpenDB(t.Context(), disk, silent)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ours.New(db, ours.Options{Disk: disk, Log: silent, Witness: filepath.Join(dir, "witness")})
		if err != nil {
			t.Fatal(err)
		}
		l := newLedger(t, 2)
		if err := l.swap(t, s, 0); err != nil {
			t.Fatal(err)
		}
		switch gone {
		case "moved":
			err = os.Rename(path, path+".old")
		case "deleted":
			err = os.RemoveAll(path)
		default:
			var files []string
			files, err = filepath.Glob(filepath.Join(path, "*"))
			for _, f := range files {
				err = errors.Join(err, os.Remove(f))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := soon(t, "swap", func() error { return l.swap(t, s, 1) }); err == nil {
				t.Errorf("%s: a write was acknowledged", gone)
			}
		}
		if e, err := s.Get(t.Context(), l.keys[1].Name); !errors.Is(err, recordstore.ErrNotFound) {
			t.Errorf("%s: a lost entry is shown: %+v, %v", gone, e, err)
		}
		if _, err := s.Get(t.Context(), l.keys[0].Name); err != nil {
			t.Errorf("%s: reading: %v", gone, err)
		}
		if err := soon(t, "close", s.Close); err == nil {
			t.Errorf("%s: closed without an error", gone)
		}
		_ = soon(t, "close of the database", func() error { return ours.CloseDB(context.Background(), disk, db) })
	}
}
