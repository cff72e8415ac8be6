package pebble_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
)

// fullFS is a disk that is full while full is set, or after a number of writes.
type fullFS struct {
	vfs.FS
	left atomic.Int64 // writes until it is full
}

func (f *fullFS) write() error {
	if f.left.Add(-1) < 0 {
		return syscall.ENOSPC
	}
	return nil
}

func (f *fullFS) free() { f.left.Store(1 << 40) }

func (f *fullFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	if f.left.Load() <= 0 {
		return vfs.DiskUsage{}, nil
	}
	return vfs.DiskUsage{AvailBytes: 1 << 40}, nil
}

func (f *fullFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.write(); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, c)
	return fullFile{file, f}, err
}

func (f *fullFS) Rename(a, b string) error {
	if err := f.write(); err != nil {
		return err
	}
	return f.FS.Rename(a, b)
}

type fullFile struct {
	vfs.File
	fs *fullFS
}

// Write writes half of what does not fit.
func (f fullFile) Write(p []byte) (int, error) {
	if err := f.fs.write(); err != nil {
		if f.fs.left.Load() == -1 {
			n, _ := f.File.Write(p[:len(p)/2])
			return n, err
		}
		return 0, err
	}
	return f.File.Write(p)
}

// TestFullDiskRecoversWithoutRestart fills the disk at each write in turn, and frees it
// again. R13, F6.
func TestFullDiskRecoversWithoutRestart(t *testing.T) {
	t.Parallel() // it mostly waits
	writes, step := int64(30), int64(1)
	switch {
	case *long:
		writes = 600
	case testing.Short():
		step = 4
	}
	var full, doubts int
	var flushes sync.WaitGroup
	var slowest time.Duration
	for n := int64(0); n < writes; n += step {
		mem := vfs.NewCrashableMem()
		fs := &fullFS{FS: mem}
		fs.free()
		m, err := start(mem, fs)
		if err != nil {
			t.Fatal(err)
		}
		l := newLedger(t, 3)
		fs.left.Store(n)
		for i := 0; ; i++ {
			err := l.swap(t, m.store, i%3)
			if errors.Is(err, recordstore.ErrFull) {
				if errors.Is(err, recordstore.ErrDoubt) {
					doubts++
				}
				break
			}
			if err != nil {
				t.Fatalf("full at write %d: %v", n, err)
			}
			if i%5 == 4 {
				flushes.Go(func() { _ = m.db.Flush() }) // so that it is not always the log that finds no space
			}
		}
		full++
		if err := l.check(m.store); err != nil {
			t.Fatalf("full at write %d: reading: %v", n, err)
		}
		if err := l.swap(t, m.store, 0); !errors.Is(err, recordstore.ErrFull) {
			t.Fatalf("full at write %d: writing on the full disk: %v", n, err)
		}
		freed := time.Now()
		fs.free()
		for l.again(t, m.store) != nil {
			if time.Since(freed) > patience {
				t.Fatalf("full at write %d: no write %v after space was freed", n, patience)
			}
			time.Sleep(5 * time.Millisecond)
		}
		slowest = max(slowest, time.Since(freed))
		c := mem.CrashClone(vfs.CrashCloneCfg{})
		again, err := start(c, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.check(again.store); err != nil {
			t.Fatalf("full at write %d: after a crash: %v", n, err)
		}
		flushes.Wait() // one that comes later finds the database closed
		if err := errors.Join(again.Stop(), m.Stop()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("disk full at %d of the first %d writes: all refused with ErrFull (%d in doubt), reads went on, 0 acknowledged lost, writing again after at most %v",
		full, writes, doubts, slowest.Round(time.Millisecond))
}

// roomFS reports the given number of free bytes.
type roomFS struct {
	vfs.FS
	free uint64
}

func (f roomFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.free}, nil
}

// Strangers' data is refused before the reserve is reached.
func TestDiskIsScarceBeforeItIsFull(t *testing.T) {
	for free, want := range map[uint64][2]bool{300: {false, false}, 200: {false, false}, 199: {true, false}, 100: {true, false}, 99: {true, true}} {
		disk := &ours.Disk{Dir: "db", FS: roomFS{vfs.NewMem(), free}, Reserve: 100}
		if got := [2]bool{disk.Scarce(), disk.Full()}; got != want {
			t.Errorf("%d bytes free: scarce and full are %v, want %v", free, got, want)
		}
		if left, _, reserve := disk.Space(); left != free || reserve != 100 {
			t.Errorf("%d bytes free: it says %d, with a reserve of %d", free, left, reserve)
		}
	}
}

// The database has secrets of webhooks: others on the machine may not look into it.
func TestTheFolderOfTheDatabaseIsPrivate(t *testing.T) {
	disk := &ours.Disk{Dir: filepath.Join(t.TempDir(), "db"), Reserve: -1}
	db, err := ours.OpenDB(t.Context(), disk, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if info, err := os.Stat(disk.Dir); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}
