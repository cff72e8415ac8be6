package main

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ended waits for the end of a daemon and returns what it printed.
func (d *daemonProcess) ended() string {
	d.t.Helper()
	end := make(chan error, 1)
	go func() { end <- d.cmd.Wait() }()
	select {
	case err := <-end:
		if err != nil {
			d.t.Errorf("the daemon ended with %v", err)
		}
	case <-time.After(stopTimeout):
		d.t.Errorf("the daemon still runs after %v", stopTimeout)
		_ = d.cmd.Process.Kill() // it may have ended
		<-end
	}
	return d.log.String()
}

func (d *daemonProcess) signal(sig os.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
}

func TestEndOfTheTerminalStopsTheDaemonInOrder(t *testing.T) {
	t.Parallel() // it waits for other processes
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile", "test")
	d := startDaemon(t, repo)
	d.signal(syscall.SIGHUP)
	d.signal(syscall.SIGHUP) // kernel and shell both tell
	if log := d.ended(); !strings.Contains(log, "shutting down") {
		t.Errorf("not in order:\n%s", log)
	}
	if _, err := os.Stat(filepath.Join(repo, "api")); err == nil {
		t.Error("the file api is left")
	}
}

func TestDaemonUnderNohupOutlivesTheTerminal(t *testing.T) {
	t.Parallel() // it waits for other processes
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile", "test")
	cmd := ipnsCommand(t, repo)
	self := filepath.Join(t.TempDir(), "ipns") // by this name it is the command
	if err := os.Symlink(cmd.Path, self); err != nil {
		t.Fatal(err)
	}
	nohup := exec.Command("nohup", self, "daemon", "--offline")
	nohup.Env = cmd.Env
	d := startDaemonBy(t, repo, nohup)
	d.signal(syscall.SIGHUP)
	time.Sleep(100 * time.Millisecond) // long enough to die of it
	if err := d.call(&struct{}{}, "version", nil); err != nil {
		t.Error(err)
	}
	d.signal(syscall.SIGTERM)
	d.ended()
}

// monotonic is the time by systemd's clock.
func monotonic(t *testing.T) (usec uint64) {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return uint64(now.Nano() / 1000)
}

func TestServiceOfSystemdReloadsItsConfig(t *testing.T) {
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile", "test")
	l := notifySocket(t)
	message := func() string {
		t.Helper()
		if err := l.SetReadDeadline(time.Now().Add(stopTimeout)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 64)
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	told := func(want string) {
		t.Helper()
		if got := message(); got != want {
			t.Fatalf("systemd was told %q, want %s", got, want)
		}
	}
	d := startDaemon(t, repo)
	told("READY=1")
	reload := func() {
		t.Helper()
		before := monotonic(t)
		d.signal(syscall.SIGHUP)
		got := message()
		var at uint64
		if _, err := fmt.Sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%d", &at); err != nil || at < before || at > monotonic(t) {
			t.Fatalf("systemd was told %q (%v), the clock said %d and %d", got, err, before, monotonic(t))
		}
		told("READY=1")
	}
	secret := `{"ann": {"AuthSecret": "bearer:x", "AllowedPaths": ["/api/v0"]}}`
	runIpns(t, repo, "config", "Ipns.RepublishPeriod", "2h")
	runIpns(t, repo, "config", "--json", "API.Authorizations", secret)
	if err := d.call(&struct{}{}, "version", nil); err != nil {
		t.Errorf("before: %v", err)
	}
	reload()
	if err := d.call(&struct{}{}, "version", nil); err == nil {
		t.Error("the new config is not in force")
	}
	const waits = `wait for a restart" keys=Ipns.RepublishPeriod`
	for begin := time.Now(); !strings.Contains(d.log.String(), waits); time.Sleep(10 * time.Millisecond) { // it comes by another way
		if time.Since(begin) > readyTimeout {
			t.Fatalf("the log does not say what needs a restart:\n%s", d.log.String())
		}
	}
	// What can't be read changes nothing.
	if err := os.WriteFile(filepath.Join(repo, "config"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	reload()
	if err := d.call(&struct{}{}, "key/list", url.Values{}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("after a bad config: %v", err)
	}
	d.signal(syscall.SIGTERM)
	told("STOPPING=1")
	d.ended()
}
