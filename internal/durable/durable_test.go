package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReplaceWritesOverAFileAndCreateDoesNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 255)) // the longest possible name
	if err := Create(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte("two"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created again: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "one" {
		t.Errorf("it has %q", b)
	}
	if err := Replace(path, []byte("three"), 0o640); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "three" || info.Mode().Perm() != 0o640 {
		t.Errorf("it has %q with mode %v", b, info.Mode())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), TempPrefix+"*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestCleanKeepsWhatItIsToldTo(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".tmp-a-1", ".tmp-b-1", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Clean(dir, func(base string) bool { return strings.HasPrefix(base, ".tmp-b") }); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 || left[0].Name() != ".tmp-b-1" || left[1].Name() != "c" {
		t.Errorf("left %v, %v", left, err)
	}
}
