//go:build unix

package durable

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What root changes in the repo of a service, the user of the service must be able to read.
func TestWhatRootWritesBelongsToTheOwnerOfTheFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	const user, group = 2345, 2346
	dir := t.TempDir()
	if err := os.Chown(dir, user, group); err != nil {
		t.Skipf("this root cannot either: %v", err)
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"replaced", "new"} { // the first time it replaces nothing
		if err := Replace(path("replaced"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Create(path("created"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := CreateOwn(path("own"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]uint32{"replaced": {user, group}, "created": {user, group}, "own": {0, uint32(os.Getegid())}} {
		info, err := os.Stat(path(name))
		if err != nil {
			t.Fatal(err)
		}
		of := info.Sys().(*syscall.Stat_t)
		if of.Uid != want[0] || of.Gid != want[1] || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s belongs to %d:%d with mode %v, want %v", name, of.Uid, of.Gid, info.Mode(), want)
		}
	}
}
