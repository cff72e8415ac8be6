package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// notifySocket is where the daemons of a test tell their states, as they tell systemd.
func notifySocket(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return l
}

func TestServiceOfSystemdGivesSignsOfLife(t *testing.T) {
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile", "test")
	l := notifySocket(t)
	t.Setenv("WATCHDOG_USEC", "300000")
	d := startDaemon(t, repo)
	if err := l.SetReadDeadline(time.Now().Add(stopTimeout)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	for signs := 0; signs < 3; {
		n, err := l.Read(b)
		if err != nil {
			t.Fatalf("after %d signs of life: %v\n%s", signs, err, d.log.String())
		}
		if string(b[:n]) == "WATCHDOG=1" {
			signs++
		}
	}
	d.signal(syscall.SIGTERM)
	d.ended()
}

// socketFiles listens on TCP ports and returns the sockets for another process, and their
// addresses.
func socketFiles(t *testing.T, n int) (files []*os.File, at []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		files, at = append(files, f), append(at, l.Addr().String())
	}
	return files, at
}

// asService is a daemon that systemd would start with the sockets: its process id is known only
// when it runs.
func asService(t *testing.T, repo, names string, files []*os.File) *exec.Cmd {
	t.Helper()
	cmd := ipnsCommand(t, repo)
	self := filepath.Join(t.TempDir(), "ipns") // by this name it is the command
	if err := os.Symlink(cmd.Path, self); err != nil {
		t.Fatal(err)
	}
	sh := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" daemon --offline`, self)
	sh.Env = append(cmd.Env, "LISTEN_FDS="+string(rune('0'+len(files))), "LISTEN_FDNAMES="+names)
	sh.ExtraFiles = files
	return sh
}

func gatewayAnswers(t *testing.T, d *daemonProcess) {
	t.Helper()
	resp, err := http.Get(d.gateway + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("the gateway answers %s", resp.Status)
	}
}

func TestDaemonListensOnTheSocketsThatSystemdHasOpened(t *testing.T) {
	t.Parallel() // it waits for other processes
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile", "test")
	files, at := socketFiles(t, 2)
	d := startDaemonBy(t, repo, asService(t, repo, "gateway:api", files))
	if d.gateway != "http://"+at[0] || d.api != "http://"+at[1] {
		t.Errorf("it listens on %s and %s, want %s", d.gateway, d.api, at)
	}
	if err := d.call(&struct{}{}, "version", nil); err != nil {
		t.Error(err)
	}
	gatewayAnswers(t, d)
	d.signal(syscall.SIGTERM)
	d.ended()
}

func TestDaemonWithOneSocketOfSystemdTakesTheOtherAddressFromItsConfig(t *testing.T) {
	t.Parallel() // it waits for other processes
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile", "test")
	files, at := socketFiles(t, 1)
	d := startDaemonBy(t, repo, asService(t, repo, "api", files))
	if d.api != "http://"+at[0] || !strings.HasPrefix(d.gateway, "http://127.0.0.1:") || d.gateway == d.api {
		t.Errorf("API %s, gateway %s: want %s, and one of the config", d.api, d.gateway, at)
	}
	gatewayAnswers(t, d)
	d.signal(syscall.SIGTERM)
	d.ended()
}

func TestDaemonRefusesSocketsThatItDoesNotKnow(t *testing.T) {
	t.Parallel() // it waits for other processes
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile", "test")
	for names, want := range map[string]string{
		"metrics": `a socket called "metrics": FileDescriptorName= of its unit is to be one of api, gateway`,
		"api:api": `several sockets called "api"`,
	} {
		files, _ := socketFiles(t, strings.Count(names, ":")+1)
		out, err := asService(t, repo, names, files).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("sockets %s: %v\n%s", names, err, out)
		}
	}
}
