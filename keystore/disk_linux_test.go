package keystore

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/goipns/ipns"
)

// TestFullDiskLeavesNoKey creates keys while the disk is full. No partial file is left
// that would take the label or hide other keys. F5.
func TestFullDiskLeavesNoKey(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	s, err := Open(filepath.Join(dir, "keystore"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put("before", key); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	if err := s.Put("blog", key); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a key on a full disk: %v", err)
	}
	names, err := s.List()
	if err != nil || len(names) != 1 {
		t.Errorf("keys after that: %q, %v", names, err)
	}
	if got, err := s.Get("before"); err != nil || !got.Equals(key) {
		t.Errorf("the key that was there before: %v", err)
	}
	files, err := os.ReadDir(s.dir)
	if err != nil || len(files) != 1 {
		t.Errorf("files after that: %v, %v", files, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.Put("blog", key); err != nil {
		t.Errorf("with space again: %v", err)
	}
}
