package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binDir holds the binary of ipns while the tests run.
var binDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ipns-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// A program is one of the two whose daemons meet here.
type program struct {
	name    string                 // as typed
	pathVar string                 // environment variable that names the repository
	build   func() (string, error) // path of the binary; builds it once
}

var (
	kubo = &program{"ipfs", "IPFS_PATH", sync.OnceValues(buildKubo)}
	ours = &program{"ipns", "IPNS_PATH", sync.OnceValues(buildOurs)}
)

func (p *program) String() string {
	return p.name
}

// binary returns the path of the program and fails the test if it does not build.
func (p *program) binary(t *testing.T) string {
	t.Helper()
	bin, err := p.build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// buildKubo asks for the path of the tool: with -n, go tool builds it, keeps the
// linked binary in the build cache, and prints where instead of running it.
func buildKubo() (string, error) {
	out, err := goCommand("tool", "-n", "ipfs")
	return strings.TrimSpace(out), err
}

func buildOurs() (string, error) {
	bin := filepath.Join(binDir, "ipns")
	_, err := goCommand("build", "-C", "..", "-o", bin, "./cmd/ipns")
	return bin, err
}

func goCommand(args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.Command("go", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}
