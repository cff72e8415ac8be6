package filelock

import (
	"os"
	"path/filepath"
	"testing"
)

func TestALockEndsWithItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if err := Lock(first); err != nil {
		t.Fatal(err)
	}
	if ok, err := TryLock(second); ok || err != nil {
		t.Errorf("locked twice: %v, %v", ok, err)
	}
	if _, err := second.WriteString("x"); err != nil {
		t.Errorf("the lock keeps others from writing: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "x" {
		t.Errorf("the lock keeps others from reading: %q, %v", b, err)
	}
	waited := make(chan error, 1)
	third := open()
	go func() { waited <- Lock(third) }()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("after the first was closed: %v", err)
	}
	if ok, err := TryLock(second); ok || err != nil {
		t.Errorf("the one who waited has it: %v, %v", ok, err)
	}
}
