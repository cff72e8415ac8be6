package pebble_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
)

// TestRealFullDiskRecovers fills a small real file system until nothing can be written,
// and frees it again, without a restart. R13.
func TestRealFullDiskRecovers(t *testing.T) {
	t.Parallel() // it mostly waits
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	disk := &ours.Disk{Dir: filepath.Join(dir, "db"), Reserve: 4 << 20}
	db, err := ours.OpenDB(t.Context(), disk, silent)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := ours.New(db, ours.Options{Disk: disk, Log: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := newLedger(t, 3)
	for round := range 3 {
		if err := l.again(t, s); err != nil {
			t.Fatal(err)
		}
		ballast := filepath.Join(dir, "ballast")
		if err := fill(ballast); err != nil {
			t.Fatal(err)
		}
		time.Sleep(150 * time.Millisecond) // how long a measured free space is reused
		refused := 0
		for i := range 3 {
			if err := l.swap(t, s, i); errors.Is(err, recordstore.ErrFull) {
				refused++
			}
		}
		if err := l.check(s); err != nil || refused != 3 {
			t.Fatalf("round %d: %d of 3 writes refused on a full disk, reading: %v", round, refused, err)
		}
		freed := time.Now()
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		for l.again(t, s) != nil {
			if time.Since(freed) > patience {
				t.Fatalf("round %d: no write %v after space was freed", round, patience)
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Logf("round %d: writing again after %v", round, time.Since(freed).Round(time.Millisecond))
	}
}

// fill writes a file until there is no space left.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return nil
}

// TestFullDiskIsReadWithoutSpace opens the store of a killed process on a disk with no
// free space.
func TestFullDiskIsReadWithoutSpace(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	path, l := filepath.Join(dir, "db"), newLedger(t, 3)
	disk := &ours.Disk{Dir: path}
	db, err := ours.OpenDB(t.Context(), disk, silent)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ours.New(db, ours.Options{Disk: disk, Log: silent})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.again(t, s); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil { // not the store: everything is in the log
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := fill(ballast); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := ours.OpenDB(t.Context(), &ours.Disk{Dir: path}, silent); !errors.Is(err, recordstore.ErrFull) || !strings.Contains(err.Error(), "bytes") {
		t.Fatalf("opening on a full disk: %v", err)
	}
	disk = &ours.Disk{Dir: path}
	if db, err = ours.ReadDB(disk, silent); err != nil {
		t.Fatal(err)
	}
	if s, err = ours.New(db, ours.Options{Disk: disk, Log: silent, Witness: path + ".witness"}); err != nil {
		t.Fatal(err)
	}
	if err := l.check(s); err != nil {
		t.Error(err)
	}
	if err := l.swap(t, s, 0); !errors.Is(err, recordstore.ErrFull) {
		t.Errorf("writing: %v", err)
	}
	if err := errors.Join(s.Close(), ours.CloseDB(t.Context(), disk, db)); err != nil {
		t.Error(err)
	}
	t.Logf("refused, read and closed on a full disk in %v", time.Since(begin).Round(time.Millisecond))
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	disk = &ours.Disk{Dir: path}
	if db, err = ours.OpenDB(t.Context(), disk, silent); err != nil {
		t.Fatal(err)
	}
	if s, err = ours.New(db, ours.Options{Disk: disk, Log: silent}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.again(t, s), s.Close(), db.Close()); err != nil {
		t.Error(err)
	}
}
