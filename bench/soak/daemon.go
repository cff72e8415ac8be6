package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	patience = 2 * time.Minute  // for the daemon to be ready
	callTime = 30 * time.Second // of one request
)

// daemon is the program under test and its repo.
type daemon struct {
	program, disk, repo string
	mounted             bool
	peer                peer.ID
	log                 *os.File

	mu           sync.Mutex // guards all below
	cmd          *exec.Cmd
	api, gateway string // URLs
}

// newDaemon builds the program and makes a repo, on a disk of its own where that may be mounted.
func newDaemon(ctx context.Context, dir string, c config) (d *daemon, err error) {
	d = &daemon{program: c.program, disk: filepath.Join(dir, "disk")}
	d.repo = filepath.Join(d.disk, "repo")
	if d.program == "" {
		d.program = filepath.Join(dir, "ipns")
		out, err := exec.CommandContext(ctx, "go", "build", "-o", d.program, "github.com/goipns/ipns/cmd/ipns").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("building ipns: %w\n%s", err, out)
		}
	}
	if err := os.Mkdir(d.disk, 0o700); err != nil {
		return nil, err
	}
	d.mounted = mount(d.disk, c.disk)
	if d.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, errors.Join(err, d.unmount())
	}
	for _, args := range [][]string{
		{"init", "--profile", "test"},
		{"config", "Ipns.RepublishPeriod", c.period().String()},
		{"config", "Ipns.RecordLifetime", c.life().String()},
	} {
		if out, err := d.command(args...).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("ipns %s: %w\n%s", strings.Join(args, " "), err, out), d.close())
		}
	}
	out, err := d.command("config", "Identity.PeerID").Output()
	if err == nil {
		d.peer, err = peer.Decode(strings.TrimSpace(string(out)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the peer id: %w", err), d.close())
	}
	return d, nil
}

func (d *daemon) command(args ...string) *exec.Cmd {
	cmd := exec.Command(d.program, args...)
	cmd.Env = append(os.Environ(), "IPNS_PATH="+d.repo)
	return cmd
}

// addresses are where a daemon says that it listens.
var addresses = regexp.MustCompile(`(?s)RPC API server listening on /ip4/127.0.0.1/tcp/(\d+).*Gateway server listening on /ip4/127.0.0.1/tcp/(\d+).*Daemon is ready`)

// start starts the daemon and waits until it is ready.
func (d *daemon) start(ctx context.Context, bootstrap string) error {
	begin, err := d.log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	cmd := d.command("daemon", "--bootstrap", bootstrap)
	cmd.Stdout, cmd.Stderr = d.log, d.log
	if err := cmd.Start(); err != nil {
		return err
	}
	d.mu.Lock()
	d.cmd = cmd
	d.mu.Unlock()
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(d.log.Name())
		if err != nil {
			return err
		}
		if m := addresses.FindSubmatch(text[begin:]); m != nil {
			d.mu.Lock()
			d.api, d.gateway = fmt.Sprintf("http://127.0.0.1:%s", m[1]), fmt.Sprintf("http://127.0.0.1:%s", m[2])
			d.mu.Unlock()
			return nil
		}
	}
	text, _ := os.ReadFile(d.log.Name())
	return fmt.Errorf("the daemon is not ready: %s", text[begin:])
}

// kill ends the daemon as kill -9 does. Where that had ended by itself, it returns how.
func (d *daemon) kill() (ended error) {
	d.mu.Lock()
	cmd := d.cmd
	d.cmd = nil
	d.mu.Unlock()
	if cmd == nil {
		return nil
	}
	_ = cmd.Process.Kill()                // it may have ended
	_ = cmd.Wait()                        // says what its state says
	if cmd.ProcessState.ExitCode() >= 0 { // no signal was its end
		return errors.New(cmd.ProcessState.String())
	}
	return nil
}

// pid is the daemon's process; 0: it does not run.
func (d *daemon) pid() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return 0
	}
	return d.cmd.Process.Pid
}

func (d *daemon) urls() (api, gateway string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.api, d.gateway
}

// call calls the RPC API.
func (d *daemon) call(ctx context.Context, into any, command string, args url.Values) error {
	api, _ := d.urls()
	b, err := fetch(ctx, http.MethodPost, api+"/api/v0/"+command+"?"+args.Encode())
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// page gets a page of the gateway.
func (d *daemon) page(ctx context.Context, path string) (string, error) {
	_, gateway := d.urls()
	b, err := fetch(ctx, http.MethodGet, gateway+path)
	return string(b), err
}

func fetch(ctx context.Context, method, at string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", at, resp.Status, b)
	}
	return b, err
}

// fillDisk fills the disk; free removes what does.
func (d *daemon) fillDisk() (free func() error, err error) {
	path := filepath.Join(d.disk, "full")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return nil, errors.Join(err, os.Remove(path))
	}
	return func() error { return os.Remove(path) }, nil
}

func (d *daemon) unmount() error {
	if !d.mounted {
		return nil
	}
	d.mounted = false
	return unmount(d.disk)
}

// close ends the daemon and takes its disk away.
func (d *daemon) close() error {
	_ = d.kill() // the end has told
	return errors.Join(d.log.Close(), d.unmount())
}
