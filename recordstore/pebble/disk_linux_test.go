package pebble_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
)

// TestR13RealFullDisk fills a small file system of the machine until nothing can
// be written, and frees it again, without a restart.
func TestR13RealFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	disk := &ours.Disk{Dir: filepath.Join(dir, "db"), Reserve: 4 << 20}
	db, err := ours.OpenDB(disk, silent)
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
		time.Sleep(150 * time.Millisecond) // figures of free space are that old
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
			if time.Since(freed) > 5*time.Second {
				t.Fatalf("round %d: not writing again 5 s after there is space", round)
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
