package nat

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	prefix     = "ipns-nat-"            // of the names of all namespaces; the id of the process follows
	killGrace  = 5 * time.Second        // from the first signal to the second
	killLook   = 100 * time.Millisecond // between two looks whether processes have ended
	etcNetns   = "/etc/netns"           // ip puts the files of etcNetns/NAME over those of /etc
	namespaces = "/var/run/netns"
)

// A namespace is the network of one machine or router.
type namespace string

// need skips the test unless namespaces can be made here.
func need(t *testing.T) {
	t.Helper()
	if why := missing(); why != "" {
		lacking(t, why)
	}
}

// missing is why no namespaces can be made here; "": they can.
var missing = sync.OnceValue(func() string {
	if os.Getuid() != 0 {
		return "it makes network namespaces, which only root may"
	}
	for _, tool := range []string{"ip", "nft", "tc", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "there is no " + tool + ": install iproute2, nftables and procps"
		}
	}
	probe := namespace(fmt.Sprintf("%s%d-probe", prefix, os.Getpid()))
	defer probe.remove()
	if out, err := exec.Command("ip", "netns", "add", string(probe)).CombinedOutput(); err != nil {
		return fmt.Sprintf("cannot make a network namespace: %v: %s", err, out)
	}
	return ""
})

// lacking skips the test, and fails it where everything is to be run.
func lacking(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// sweep deletes the namespaces of runs whose processes have ended.
func sweep() {
	entries, err := os.ReadDir(namespaces)
	if err != nil {
		return // there were none yet
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), prefix)
		text, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(text)
		if ours && err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			namespace(e.Name()).remove()
		}
	}
}

// newNamespace makes a namespace that ends with the test, with all that runs in it.
func newNamespace(t *testing.T, name string) namespace {
	t.Helper()
	n := namespace(fmt.Sprintf("%s%d-%s", prefix, os.Getpid(), name))
	must(t, "ip", "netns", "add", string(n))
	t.Cleanup(n.remove)
	n.ip(t, "link set lo up")
	return n
}

// remove ends all processes of a namespace and deletes it. Its links go with it.
func (n namespace) remove() {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for deadline := time.Now().Add(killGrace); ; time.Sleep(killLook) {
			pids := n.pids()
			if len(pids) == 0 || time.Now().After(deadline) {
				break
			}
			for _, p := range pids {
				_ = syscall.Kill(p, signal) // it may have ended meanwhile
			}
		}
	}
	_ = exec.Command("ip", "netns", "del", string(n)).Run()
	_ = os.RemoveAll(filepath.Join(etcNetns, string(n)))
}

func (n namespace) pids() (pids []int) {
	out, _ := exec.Command("ip", "netns", "pids", string(n)).Output()
	for _, f := range strings.Fields(string(out)) {
		if p, err := strconv.Atoi(f); err == nil && p != os.Getpid() {
			pids = append(pids, p)
		}
	}
	return pids
}

// ip runs commands of ip in the namespace.
func (n namespace) ip(t *testing.T, commands ...string) {
	t.Helper()
	cmd := exec.Command("ip", "-n", string(n), "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: ip: %v: %s\n%s", n, err, out, strings.Join(commands, "\n"))
	}
}

// nft replaces the rules of the namespace.
func (n namespace) nft(t *testing.T, rules string) {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", string(n), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader("flush ruleset\n" + rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: nft: %v: %s\n%s", n, err, out, rules)
	}
}

// run runs a command in the namespace that must succeed.
func (n namespace) run(t *testing.T, args ...string) {
	t.Helper()
	must(t, append([]string{"ip", "netns", "exec", string(n)}, args...)...)
}

// command is a command in the namespace. ip becomes the program: its id is that of the program.
func (n namespace) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", string(n)}, args...)...)
}

// resolvesBy makes the programs that are started in the namespace from now on ask a DNS server.
func (n namespace) resolvesBy(t *testing.T, server string) {
	t.Helper()
	dir := filepath.Join(etcNetns, string(n))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf("nameserver %s\noptions timeout:2 attempts:4\n", server)
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
}

// inside calls f on a thread that is in the namespace.
func (n namespace) inside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and nobody else gets it
		in, err := os.Open(filepath.Join(namespaces, string(n)))
		if err != nil {
			done <- err
			return
		}
		defer in.Close()
		if err := unix.Setns(int(in.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the namespace %s: %w", n, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// dial connects to an address in the namespace, as programs in it would.
func (n namespace) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = n.inside(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// must runs a command that must succeed.
func must(t *testing.T, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
}
