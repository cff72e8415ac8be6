package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	commandTimeout = 3 * time.Minute  // one command; a publish may wait a minute for its acknowledgements
	readyTimeout   = 3 * time.Minute  // from the start of a daemon to "Daemon is ready"
	stopTimeout    = time.Minute      // from the interrupt to the end of the process
	cleanupReserve = 15 * time.Second // daemons are killed this long before go test panics on its own time limit
)

// A node is a repository of a program, and its daemon while that runs.
type node struct {
	t     *testing.T
	prog  *program
	bin   string
	repo  string
	dir   string   // working directory of its commands; empty: that of the test
	flags []string // in front of every command
	name  string   // in messages, for example "ipfs-2"

	daemon *daemon // nil: not running
}

// newNode initialises a repository with the profile test: loopback, free ports,
// no bootstrap, no MDNS, no AutoConf, no AutoTLS.
func newNode(t *testing.T, prog *program, name string) *node {
	t.Helper()
	n := &node{t: t, prog: prog, bin: prog.binary(t), repo: filepath.Join(t.TempDir(), "repo"), name: name}
	n.run("init", "--profile", "test")
	return n
}

// A result is what a command left behind.
type result struct {
	stdout, stderr string
	code           int
}

// try runs a command and returns what it did, also when it failed. A command
// that does not end in time fails the test.
func (n *node) try(stdin io.Reader, args ...string) result {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), commandTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, n.bin, slices.Concat(n.flags, args)...)
	cmd.Env, cmd.Dir = n.environ(), n.dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		n.t.Fatalf("%s: %s %s did not end within %v\n%s", n.name, n.prog, strings.Join(args, " "), commandTimeout, stderr.String())
	case err != nil && !errors.As(err, &exit):
		n.t.Fatalf("%s: %v", n.name, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// run runs a command that must succeed and returns its standard output.
func (n *node) run(args ...string) string {
	n.t.Helper()
	return n.runWith(nil, args...)
}

func (n *node) runWith(stdin io.Reader, args ...string) string {
	n.t.Helper()
	r := n.try(stdin, args...)
	if r.code != 0 {
		n.t.Fatalf("%s: %s %s: exit code %d\n%s%s", n.name, n.prog, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// line is run for a command that prints one line.
func (n *node) line(args ...string) string {
	n.t.Helper()
	return strings.TrimSuffix(n.run(args...), "\n")
}

// query runs a command with --enc=json and decodes its answer.
func (n *node) query(into any, args ...string) {
	n.t.Helper()
	out := n.run(append(args, "--enc=json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		n.t.Fatalf("%s: %s %s: %v\n%s", n.name, n.prog, strings.Join(args, " "), err, out)
	}
}

// environ is the environment of this test without repositories of others.
func (n *node) environ() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "IPFS_") && !strings.HasPrefix(v, "IPNS_") {
			env = append(env, v)
		}
	}
	return append(env, n.prog.pathVar+"="+n.repo, "IPFS_TELEMETRY=off")
}

// peerID returns the base58 peer id of the node.
func (n *node) peerID() string {
	n.t.Helper()
	var id struct{ ID string }
	n.query(&id, "id")
	return id.ID
}

// addr returns an address of the running daemon that others can connect to.
func (n *node) addr() string {
	n.t.Helper()
	var id struct{ Addresses []string }
	n.query(&id, "id")
	for _, a := range id.Addresses {
		if strings.HasPrefix(a, "/ip4/127.0.0.1/tcp/") && strings.Contains(a, "/p2p/") {
			return a
		}
	}
	n.t.Fatalf("%s: no loopback TCP address with a peer id among %q", n.name, id.Addresses)
	return ""
}

// rpcAddr returns the multiaddr of the RPC API, as scripts read it from the repository.
func (n *node) rpcAddr() string {
	n.t.Helper()
	return strings.TrimSpace(n.readFile("api"))
}

// gateway returns the URL of the gateway, as scripts read it from the repository.
func (n *node) gateway() string {
	n.t.Helper()
	return strings.TrimSuffix(strings.TrimSpace(n.readFile("gateway")), "/")
}

func (n *node) readFile(name string) string {
	n.t.Helper()
	b, err := os.ReadFile(filepath.Join(n.repo, name))
	if err != nil {
		n.t.Fatal(err)
	}
	return string(b)
}

// get fetches a path from the gateway.
func (n *node) get(path string) (body string, resp *http.Response) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), commandTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.gateway()+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatalf("%s: GET %s: %v", n.name, path, err)
	}
	return string(b), resp
}
