package nat

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

var (
	update   = flag.Bool("update", false, "write the table of docs/design")
	oursFlag = flag.String("ours", "", "a binary of ipns, instead of one built of this source")
	kuboFlag = flag.String("kubo", "", "a binary of Kubo, instead of the one of go.mod")
)

// binDir holds the binary of ipns while the tests run.
var binDir string

// The main thread stays in its namespace, see namespace.inside: a process counts as one of the
// namespace that its main thread is in, and all processes of a namespace are ended with it.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if os.Getenv(envServers) != "" {
		if err := runServers(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	dir, err := os.MkdirTemp("", "ipns-nat-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binDir = dir
	sweep()
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// A program is one of the two whose daemons run in the homes.
type program struct {
	name    string                 // as typed
	pathVar string                 // environment variable that names the repo
	port    int                    // that it listens on
	config  [][2]string            // besides Bootstrap
	build   func() (string, error) // path of the binary; builds it once
}

var ours = &program{"ipns", "IPNS_PATH", oursPort, nil, sync.OnceValues(buildOurs)}

// Kubo is told to keep to this network, and to ports that ours does not use.
var kubo = &program{"ipfs", "IPFS_PATH", kuboPort, [][2]string{
	{"AutoConf.Enabled", "false"},
	{"AutoTLS.Enabled", "false"},
	{"DNS.Resolvers", "{}"},
	{"Ipns.DelegatedPublishers", "[]"},
	{"Routing.DelegatedRouters", "[]"},
	{"Discovery.MDNS.Enabled", "false"},
	{"Addresses.API", `"/ip4/127.0.0.1/tcp/5002"`},
	{"Addresses.Gateway", `"/ip4/127.0.0.1/tcp/8082"`},
	{"Addresses.Swarm", fmt.Sprintf(`["/ip4/0.0.0.0/tcp/%[1]d", "/ip6/::/tcp/%[1]d", "/ip4/0.0.0.0/udp/%[1]d/quic-v1", "/ip6/::/udp/%[1]d/quic-v1"]`, kuboPort)},
}, sync.OnceValues(buildKubo)}

func (p *program) String() string { return p.name }

// buildKubo asks for the path of the tool: with -n, go tool builds it and prints where.
func buildKubo() (string, error) {
	if *kuboFlag != "" {
		return *kuboFlag, nil
	}
	out, err := goCommand("tool", "-n", "ipfs")
	return strings.TrimSpace(out), err
}

func buildOurs() (string, error) {
	if *oursFlag != "" {
		return *oursFlag, nil
	}
	bin := filepath.Join(binDir, "ipns")
	_, err := goCommand("build", "-C", "../..", "-o", bin, "./cmd/ipns")
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
