package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMigrateSaysThatNothingCanBeWritten: a repo on a read-only file system stays as it is,
// and is not said to have another version.
func TestMigrateSaysThatNothingCanBeWritten(t *testing.T) {
	dir := t.TempDir()
	r, fixed := filepath.Join(dir, "repo"), filepath.Join(dir, "fixed")
	runIpns(t, r, "init", "--profile=test")
	runIpns(t, r, "repo", "migrate", "--to=1")
	if err := os.Mkdir(fixed, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(r, fixed, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("file systems cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(fixed, syscall.MNT_DETACH) })
	if err := syscall.Mount("", fixed, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("file systems cannot be mounted read-only here: %v", err)
	}
	out, err := ipnsCommand(t, fixed, "repo", "migrate").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "read-only file system") {
		t.Errorf("%v: %s", err, out)
	}
}
