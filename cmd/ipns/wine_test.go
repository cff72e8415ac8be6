package main

import (
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stubSource is of the one function of Windows that Go needs and an old wine lacks.
const stubSource = "testdata/bcryptprimitives.c"

var onWine = flag.Bool("wine", false, "run TestOnWindowsNamesAreKept, which needs wine64 and gcc-mingw-w64-x86-64")

// wine runs the program built for Windows.
type wine struct {
	t               *testing.T
	program, prefix string
}

// newWine builds the program and makes an empty Windows for it.
func newWine(t *testing.T) *wine {
	t.Helper()
	loader := ""
	for _, l := range []string{"wine64", "/usr/lib/wine/wine64"} {
		if path, err := exec.LookPath(l); err == nil {
			loader = path
		}
	}
	if loader == "" {
		t.Skip("no wine64: install wine64 and gcc-mingw-w64-x86-64")
	}
	compiler, err := exec.LookPath("x86_64-w64-mingw32-gcc")
	if err != nil {
		t.Skip("no x86_64-w64-mingw32-gcc: install gcc-mingw-w64-x86-64")
	}
	w := &wine{t, loader, filepath.Join(t.TempDir(), "wine")}
	exe, stub := filepath.Join(t.TempDir(), "ipns.exe"), filepath.Join(t.TempDir(), "bcryptprimitives.dll")
	// With the flags of a release, which may have been built before.
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s", "-o", exe, ".")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	for _, cmd := range []*exec.Cmd{build, exec.Command(compiler, "-shared", "-o", stub, stubSource, "-ladvapi32"), w.command("wineboot", "-i")} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	t.Cleanup(func() { _ = w.command("wineboot", "-e", "-f").Run() }) // ends what is left
	system := filepath.Join(w.prefix, "drive_c/windows/system32/bcryptprimitives.dll")
	if _, err := os.Stat(system); err != nil {
		b, err := os.ReadFile(stub)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(system, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(exe, filepath.Join(w.prefix, "drive_c/ipns.exe")); err != nil {
		t.Fatal(err)
	}
	return w
}

// command is a command line of Windows.
func (w *wine) command(args ...string) *exec.Cmd {
	cmd := exec.Command(w.program, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "IPNS_") && !strings.HasPrefix(v, "IPFS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "WINEPREFIX="+w.prefix, "WINEDEBUG=-all", "USER=tester")
	return cmd
}

func (w *wine) ipns(args ...string) *exec.Cmd {
	return w.command(append([]string{`C:\ipns.exe`}, args...)...)
}

// run runs a command that succeeds and returns its last line.
func (w *wine) run(args ...string) string {
	w.t.Helper()
	out, err := w.ipns(args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("ipns %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(out), "\r", "")), "\n")
	return lines[len(lines)-1]
}

// daemon starts one and waits until it is ready.
func (w *wine) daemon() (cmd *exec.Cmd, log *lockedBuffer) {
	w.t.Helper()
	cmd, log = w.ipns("daemon", "--offline"), &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	for begin := time.Now(); !strings.Contains(log.String(), daemonReady); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > readyTimeout {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			w.t.Fatalf("not ready:\n%s", log.String())
		}
	}
	return cmd, log
}

// portInUse listens until the test ends, and returns the port.
func portInUse(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// The program for Windows keeps names through restarts and a kill, in the folder of the user,
// and lets no two daemons use it.
func TestOnWindowsNamesAreKept(t *testing.T) {
	if !*onWine {
		t.Skip("builds the program for Windows, which takes minutes: run it with -wine")
	}
	t.Parallel() // it waits for other processes
	w := newWine(t)
	w.run("init", "--profile", "test")
	repos, err := filepath.Glob(filepath.Join(w.prefix, "drive_c/users/*/.ipns/config"))
	if err != nil || len(repos) != 1 {
		t.Fatalf("the default repo is not in the folder of the user: %v, %v", repos, err)
	}
	name := w.run("key", "gen", "blog")
	w.run("name", "publish", "--allow-offline", "--resolve=false", "-k", "blog", "/ipfs/bafkqaaa/1")
	if at := w.run("name", "resolve", name); at != "/ipfs/bafkqaaa/1" {
		t.Errorf("it resolves to %s", at)
	}

	daemon, log := w.daemon()
	out, err := w.ipns("daemon", "--offline").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use by another process") {
		t.Errorf("a second daemon: %v\n%s", err, out)
	}
	w.run("name", "publish", "--allow-offline", "--resolve=false", "-k", "blog", "/ipfs/bafkqaaa/2")
	w.run("config", "Ipns.RecordLifetime", "50h") // replaces a file that the daemon has read
	w.run("key", "rename", "blog", "site")
	if at := w.run("name", "resolve", name); at != "/ipfs/bafkqaaa/2" {
		t.Errorf("with a daemon it resolves to %s", at)
	}
	w.run("shutdown")
	if err := daemon.Wait(); err != nil {
		t.Errorf("the daemon ended with %v\n%s", err, log.String())
	}

	daemon, _ = w.daemon()
	w.run("name", "publish", "--allow-offline", "--resolve=false", "-k", "site", "/ipfs/bafkqaaa/3")
	_ = daemon.Process.Kill() // as a power cut does
	_ = daemon.Wait()
	if at := w.run("name", "resolve", name); at != "/ipfs/bafkqaaa/3" {
		t.Errorf("after a kill it resolves to %s", at)
	}

	// Nothing of what others may read is told from modes, which Windows does not have.
	if out, _ := w.ipns("doctor", "--offline").CombinedOutput(); strings.Contains(string(out), "its mode is") {
		t.Errorf("the doctor: %s", out)
	}
	// A port that another program has is known by the number that Windows has for that.
	w.run("config", "Addresses.Gateway", "/ip4/127.0.0.1/tcp/"+portInUse(t))
	if out, _ := w.ipns("doctor", "--offline").CombinedOutput(); !strings.Contains(string(out), "another program listens there") {
		t.Errorf("the doctor: %s", out)
	}
	secret := filepath.Join(w.prefix, "drive_c/secret")
	if err := os.WriteFile(secret, []byte("correct horse battery staple"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run("backup", `--passphrase-file=C:\secret`, `C:\backups\`)
	if list, _ := filepath.Glob(filepath.Join(w.prefix, "drive_c/backups/ipns-000001-*.age")); len(list) != 1 {
		t.Errorf("backups: %v", list)
	}
	w.run("key", "encrypt", `--passphrase-file=C:\secret`) // replaces read-only files
	w.run("name", "publish", `--passphrase-file=C:\secret`, "--allow-offline", "--resolve=false", "-k", "site", "/ipfs/bafkqaaa/4")
	if at := w.run("name", "resolve", name); at != "/ipfs/bafkqaaa/4" {
		t.Errorf("with encrypted keys it resolves to %s", at)
	}
}
