package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/goipns/ipns/api"
)

// patience is for a daemon to be ready, and to begin a sweep.
const patience = 5 * time.Minute

// daemon is the program under test and its repo.
type daemon struct {
	program, repo string
	cmd           *exec.Cmd
	doors, api    string // URLs
	log           *output
	sampler       *sampler
}

// output is what a process prints, read while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// newDaemon makes a repo.
func newDaemon(ctx context.Context, dir, program string) (*daemon, error) {
	d := &daemon{program: program, repo: filepath.Join(dir, "repo")}
	if program == "" {
		d.program = filepath.Join(dir, "ipns")
		out, err := exec.CommandContext(ctx, "go", "build", "-o", d.program, "github.com/goipns/ipns/cmd/ipns").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("building ipns: %w\n%s", err, out)
		}
	}
	for _, args := range [][]string{
		{"init", "--profile", "test"},
		{"config", "Addresses.Hosting", "/ip4/127.0.0.1/tcp/0"},
		{"config", "Hosting.Policy", "token"},
		{"host", "tenant", "set", "--names=1000000", "--puts-per-minute=1000000", "big"},
		{"host", "tenant", "set", "--names=1000000", "--puts-per-minute=1000000", "small"},
	} {
		if err := d.run(ctx, args...); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *daemon) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Env = append(os.Environ(), "IPNS_PATH="+d.repo)
	return cmd
}

func (d *daemon) run(ctx context.Context, args ...string) error {
	if out, err := d.command(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ipns %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// token makes a token.
func (d *daemon) token(ctx context.Context, tenant string) (string, error) {
	out, err := d.command(ctx, "host", "token", "create", "--tenant="+tenant).Output()
	return strings.TrimSpace(string(out)), err
}

var (
	doorsLine = regexp.MustCompile(`Hosting server listening on /ip4/127.0.0.1/tcp/(\d+)`)
	apiLine   = regexp.MustCompile(`RPC API server listening on /ip4/127.0.0.1/tcp/(\d+)`)
)

// start starts the daemon.
func (d *daemon) start(ctx context.Context, args ...string) error {
	d.log = new(output)
	d.cmd = d.command(ctx, append([]string{"daemon"}, args...)...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	d.sampler = new(sampler)
	go d.sampler.sample(d.cmd.Process.Pid) // ends with the process
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		text := d.log.String()
		if doors, api := doorsLine.FindStringSubmatch(text), apiLine.FindStringSubmatch(text); doors != nil && api != nil && strings.Contains(text, "Daemon is ready") {
			d.doors, d.api = "http://127.0.0.1:"+doors[1], "http://127.0.0.1:"+api[1]+"/api/v0/"
			return nil
		}
	}
	d.stop()
	return fmt.Errorf("the daemon does not start: %s", d.log.String())
}

// stop ends the daemon and waits for it.
func (d *daemon) stop() { stop(d.cmd) }

func stop(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(os.Interrupt) // it may have ended
	_ = cmd.Wait()
}

// network is a network of servers.
type network struct {
	cmd  *exec.Cmd
	peer string // one of them
}

func (n *network) stop() { stop(n.cmd) }

// peerLine is where a testnet says how to join it.
var peerLine = regexp.MustCompile(`ipfs swarm connect (\S+)`)

// network starts a network.
func (d *daemon) network(ctx context.Context, servers int) (*network, error) {
	log := new(output)
	n := &network{cmd: exec.CommandContext(ctx, "nice", "-n", "19", d.program, "testnet", fmt.Sprintf("--servers=%d", servers))}
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if m := peerLine.FindStringSubmatch(log.String()); m != nil && strings.Contains(log.String(), "Testnet is ready") {
			n.peer = m[1]
			return n, nil
		}
	}
	n.stop()
	return nil, fmt.Errorf("the network does not start: %s", log.String())
}

// status is that of republishing.
func (d *daemon) status(ctx context.Context) (s api.Republishing, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.api+"republish/status", nil)
	if err != nil {
		return s, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// sweeping waits until names are put.
func (d *daemon) sweeping(ctx context.Context) (s api.Republishing, err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Second) {
		if s, err = d.status(ctx); err != nil || s.Due > 0 && s.Puts > 0 {
			return s, err
		}
	}
	return s, errors.New("nothing is put")
}

// memory is how much the process has had at most, in MB: of its own, and with the pages of
// its program and files, which others can have too.
func (d *daemon) memory() (own, all int) {
	d.sampler.mu.Lock()
	defer d.sampler.mu.Unlock()
	return d.sampler.own / 1024, d.sampler.all / 1024
}

// sampler looks at the memory of a process now and then.
type sampler struct {
	mu       sync.Mutex // guards all below
	own, all int        // kB
}

// sample looks until the process has ended.
func (s *sampler) sample(pid int) {
	for {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return
		}
		var own, all int
		for line := range strings.Lines(string(b)) {
			_, _ = fmt.Sscanf(line, "RssAnon: %d kB", &own) // of the lines one is this
			_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &all)
		}
		if own == 0 {
			return // it has ended
		}
		s.mu.Lock()
		s.own, s.all = max(s.own, own), max(s.all, all)
		s.mu.Unlock()
		time.Sleep(200 * time.Millisecond)
	}
}
