package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	mh "github.com/multiformats/go-multihash"
)

// daemonProcess is this program in a process of its own, as a user starts it:
// testscript.Main runs main instead of the tests if it is called ipns.
type daemonProcess struct {
	t    *testing.T
	repo string
	cmd  *exec.Cmd
	log  lockedBuffer

	api, gateway string // URLs
}

type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func ipnsCommand(t *testing.T, repo string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{"ipns"}, args...)
	cmd.Env = append(os.Environ(), "IPNS_PATH="+repo, "HOME="+repo)
	return cmd
}

func runIpns(t *testing.T, repo string, args ...string) string {
	t.Helper()
	out, err := ipnsCommand(t, repo, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ipns %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// startDaemon starts an offline daemon on the repo and waits until it is ready.
// The test that started it kills or stops it.
func startDaemon(t *testing.T, repo string) *daemonProcess {
	t.Helper()
	return startDaemonWith(t, repo, "--offline")
}

// startDaemonWith is startDaemon with other flags.
func startDaemonWith(t *testing.T, repo string, flags ...string) *daemonProcess {
	t.Helper()
	return startDaemonBy(t, repo, ipnsCommand(t, repo, append([]string{"daemon"}, flags...)...))
}

// startDaemonBy is startDaemon by a command of the test's own.
func startDaemonBy(t *testing.T, repo string, cmd *exec.Cmd) *daemonProcess {
	t.Helper()
	d := &daemonProcess{t: t, repo: repo, cmd: cmd}
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); !strings.Contains(d.log.String(), "Daemon is ready"); {
		if time.Since(begin) > readyTimeout {
			d.kill()
			t.Fatalf("not ready after %v:\n%s", readyTimeout, d.log.String())
		}
		time.Sleep(2 * time.Millisecond)
	}
	d.api, d.gateway = "http://"+hostPort(t, repo, "api"), "http://"+hostPort(t, repo, "gateway")
	return d
}

// hostPort reads the file in which a daemon says where it listens: a multiaddr
// or a URL.
func hostPort(t *testing.T, repo, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repo, file))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(string(b))
	if rest, ok := strings.CutPrefix(text, "http://"); ok {
		return rest
	}
	addr, err := ma.NewMultiaddr(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	_, where, err := manet.DialArgs(addr)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return where
}

// kill ends the daemon as kill -9 does and waits for its end.
func (d *daemonProcess) kill() {
	_ = d.cmd.Process.Kill() // it may have ended
	_ = d.cmd.Wait()         // says that it was killed
}

// call posts to the RPC API and decodes the last JSON value of the answer.
func (d *daemonProcess) call(into any, command string, query url.Values) error {
	resp, err := http.Post(d.api+"/api/v0/"+command+"?"+query.Encode(), "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // the status says enough
		return fmt.Errorf("%s: %s: %s", command, resp.Status, b)
	}
	for dec := json.NewDecoder(resp.Body); ; {
		switch err := dec.Decode(into); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

type publishAnswer struct {
	Name, Value string
	Sequence    uint64
	Stored      bool
}

// publish stores a value without a network.
func (d *daemonProcess) publish(key, value string) (publishAnswer, error) {
	var p publishAnswer
	err := d.call(&p, "name/publish", url.Values{
		"arg": {value}, "key": {key}, "resolve": {"false"}, "allow-offline": {"true"}, "ttl": {"1h"},
	})
	return p, err
}

// inline returns the path of content that its CID spells out.
func inline(t *testing.T, content string) string {
	t.Helper()
	hash, err := mh.Sum([]byte(content), mh.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	return "/ipfs/" + cid.NewCidV1(cid.Raw, hash).String()
}

// TestSecondInterruptEndsAnything interrupts a command that cannot see its context
// end: it waits for its input.
func TestSecondInterruptEndsAnything(t *testing.T) {
	t.Parallel() // it waits for other processes
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile", "test")
	cmd := ipnsCommand(t, repo, "add")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	// A lock that stays says that the command has begun, and so hears signals. Before, a
	// check of the repo may take it for a moment.
	const stays = 20
	for begin, held := time.Now(), 0; held < stays; time.Sleep(5 * time.Millisecond) {
		lock, err := os.OpenFile(filepath.Join(repo, "repo.lock"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		lock.Close()
		if held++; err == nil {
			held = 0
		}
		if time.Since(begin) > readyTimeout {
			t.Fatal("the command does not begin")
		}
	}
	for i := range 2 {
		if i > 0 {
			time.Sleep(time.Second) // or two that nobody has taken yet are one
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-done:
		if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGINT) {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(readyTimeout):
		_ = cmd.Process.Kill()
		<-done
		t.Fatal("two interrupts did not end it")
	}
}
