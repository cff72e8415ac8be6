package nat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	commandTimeout = 3 * time.Minute // one command
	readyTimeout   = 3 * time.Minute // from the start of a daemon to "Daemon is ready"
	stopTimeout    = time.Minute     // from the interrupt to the end of the process
	tailBytes      = 1500            // of a log that is shown
	logBytes       = 1 << 20         // of a log that is kept
)

// A node is a repo of a program on a machine, and its daemon while that runs.
type node struct {
	t    *testing.T
	prog *program
	home *home
	bin  string
	repo string
	id   string // of the peer
	name string // that it has published

	cmd     *exec.Cmd // nil: no daemon runs
	log     *logBuffer
	ended   chan struct{}
	started time.Time
	client  *http.Client
}

// initNode makes a repo with the default profile, in which only the bootstrap peers are changed.
// Like all that a node does, it may be called on any goroutine.
func initNode(t *testing.T, h *home, p *program) (*node, error) {
	bin, err := p.build()
	if err != nil {
		return nil, err
	}
	n := &node{t: t, prog: p, home: h, bin: bin, repo: filepath.Join(t.TempDir(), "repo")}
	n.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return h.machine.dial(ctx, network, addr)
		},
	}}
	t.Cleanup(n.client.CloseIdleConnections)
	if _, err := n.run("init"); err != nil {
		return nil, err
	}
	for _, c := range append([][2]string{{"Bootstrap", h.net.bootstrap(h.version())}}, p.config...) {
		if err := n.set(c[0], c[1]); err != nil {
			return nil, err
		}
	}
	id, err := n.run("config", "Identity.PeerID")
	n.id = strings.TrimSpace(id)
	return n, err
}

// set sets a key of the config.
func (n *node) set(key, value string) error {
	_, err := n.run("config", "--json", key, value)
	return err
}

func (n *node) String() string { return n.prog.name + " in " + n.home.name }

// command is a command of the program on its machine.
func (n *node) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := n.home.machine.command(ctx, append([]string{n.bin}, args...)...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "IPFS_") && !strings.HasPrefix(v, "IPNS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, n.prog.pathVar+"="+n.repo, "IPFS_TELEMETRY=off")
	return cmd
}

// try runs a command and returns what it printed, and whether it succeeded.
func (n *node) try(args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), commandTimeout)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := n.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// run runs a command that must succeed and returns its standard output.
func (n *node) run(args ...string) (string, error) {
	stdout, stderr, err := n.try(args...)
	if err != nil {
		return "", fmt.Errorf("%v: %s: %w\n%s%s", n, strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout, nil
}

// start runs the daemon and returns when it is ready.
func (n *node) start() error { return n.launch("Daemon is ready", "daemon") }

// launch runs a command that stays, and returns when it has printed ready. It ends with the test
// at the latest.
func (n *node) launch(ready string, args ...string) error {
	n.log, n.ended, n.started = &logBuffer{}, make(chan struct{}), time.Now()
	n.cmd = n.command(context.Background(), args...)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("%v: %w", n, err)
	}
	cmd, ended, log := n.cmd, n.ended, n.log
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	n.t.Cleanup(func() {
		if !interrupt(cmd, ended) {
			n.t.Errorf("%v still ran %v after the interrupt", n, stopTimeout)
		}
		if n.t.Failed() {
			n.t.Logf("log of %v:\n%s", n, log.tail())
		}
	})
	for deadline := time.Now().Add(readyTimeout); !log.has(ready); time.Sleep(lookEvery) {
		select {
		case <-ended:
			return fmt.Errorf("%v ended before it was ready:\n%s", n, log.tail())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%v is not ready:\n%s", n, log.tail())
		}
	}
	return nil
}

func interrupt(cmd *exec.Cmd, ended chan struct{}) bool {
	_ = cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-ended:
		return true
	case <-time.After(stopTimeout):
		_ = cmd.Process.Kill()
		<-ended
		return false
	}
}

// request sends a command to the API of the daemon, and returns its response. A body is a form
// with one file.
func (n *node) request(ctx context.Context, path string, args url.Values, file []byte) (*http.Response, error) {
	api := 5001
	if n.prog == kubo {
		api = 5002
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if file != nil {
		part, err := form.CreateFormFile("file", "file")
		if err == nil {
			_, err = part.Write(file)
		}
		if err = errors.Join(err, form.Close()); err != nil {
			return nil, err
		}
	}
	at := fmt.Sprintf("http://127.0.0.1:%d/api/v0/%s?%s", api, path, args.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, &body)
	if err != nil {
		return nil, err
	}
	if file != nil {
		req.Header.Set("Content-Type", form.FormDataContentType())
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return nil, fmt.Errorf("%v: %s: %s %s", n, path, resp.Status, body)
	}
	return resp, nil
}

// call sends a command to the API and decodes its response.
func (n *node) call(into any, path string, args url.Values) error {
	ctx, cancel := context.WithTimeout(n.t.Context(), commandTimeout)
	defer cancel()
	resp, err := n.request(ctx, path, args, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// addresses are those that the node tells others.
func (n *node) addresses() ([]string, error) {
	var id struct{ Addresses []string }
	err := n.call(&id, "id", nil)
	return id.Addresses, err
}

// relayed reports whether the node can be called through a relay.
func (n *node) relayed() bool {
	addrs, err := n.addresses()
	return err == nil && slices.ContainsFunc(addrs, func(a string) bool { return strings.Contains(a, "p2p-circuit") })
}

// A connection is one of a node with a peer.
type connection struct {
	Addr      string
	Peer      string
	Direction int // 1: the peer connected, 2: this node did
}

// connections are those with a peer.
func (n *node) connections(peer string) (all []connection, err error) {
	var peers struct{ Peers []connection }
	if err := n.call(&peers, "swarm/peers", url.Values{"direction": {"true"}}); err != nil {
		return nil, err
	}
	for _, c := range peers.Peers {
		if c.Peer == peer {
			all = append(all, c)
		}
	}
	return all, nil
}

// A logBuffer keeps the output of a process.
type logBuffer struct {
	mu  sync.Mutex
	buf []byte
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(b.buf, p[:min(len(p), logBytes-len(b.buf))]...)
	return len(p), nil
}

func (b *logBuffer) has(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Contains(b.buf, []byte(text))
}

func (b *logBuffer) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.buf[max(0, len(b.buf)-tailBytes):])
}

// eventually waits until something is so, and returns how long it took.
func eventually(within time.Duration, what string, so func() bool) (time.Duration, error) {
	begin := time.Now()
	for !so() {
		if time.Since(begin) > within {
			return 0, fmt.Errorf("after %v it is not so that %s", within, what)
		}
		time.Sleep(lookEvery)
	}
	return time.Since(begin), nil
}
