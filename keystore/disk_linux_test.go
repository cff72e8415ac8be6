package keystore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
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

// TestWhatIsNoFileBlocksNothing has a pipe and a folder where keys should be. Reading a pipe would
// wait for ever.
func TestWhatIsNoFileBlocksNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	good, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Put("good", good), os.Mkdir(s.path("folder"), 0o700), syscall.Mkfifo(s.path("pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, label := range []string{"folder", "pipe"} {
		if _, err := s.Get(label); err == nil || !strings.Contains(err.Error(), "it is no file") {
			t.Errorf("%s: %v", label, err)
		}
	}
	if n, err := s.Locked(); n != 0 || err != nil {
		t.Errorf("%d locked, %v", n, err)
	}
	if back, err := s.Get("good"); err != nil || !back.Equals(good) {
		t.Error(err)
	}
}
