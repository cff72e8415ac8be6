package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/testnet"
)

var smallFor = flag.Duration("small-for", 0, "how long TestASmallMachineKeepsAThousandNames goes on when all names are held, with records that last minutes")

const (
	smallNames   = 1000
	smallServers = 25
	smallHolders = 18 // of the 20 servers closest to a name
	smallLife    = 10 * time.Minute
	smallPeriod  = 3 * time.Minute
	smallWait    = 8 * time.Minute

	smallMemory = 256 << 20
	smallCPU    = 30 // percent of a core
)

// A cgroup is a group of processes with the memory and processor of a small machine.
type cgroup struct {
	dirs   []string // a process is in the group when it is in each of them
	memory string   // the one that bounds memory
	v2     bool
}

// raspberry makes a cgroup like a small single-board computer, of whichever version has memory and
// cpu here.
func raspberry(t *testing.T) *cgroup {
	t.Helper()
	const top = "/sys/fs/cgroup"
	if os.Geteuid() != 0 {
		t.Skip("not root: no cgroup can be made")
	}
	name := fmt.Sprintf("ipns-test-%d", os.Getpid())
	g := &cgroup{}
	files := map[string]string{}
	if list, err := os.ReadFile(top + "/cgroup.subtree_control"); err == nil {
		if words := strings.Fields(string(list)); !hasWords(words, "memory", "cpu") {
			// It may fail: the top group of a container has processes of its own.
			_ = os.WriteFile(top+"/cgroup.subtree_control", []byte("+memory +cpu"), 0o644)
		}
		g.v2, g.memory = true, filepath.Join(top, name)
		g.dirs = []string{g.memory}
		files[g.memory+"/memory.max"] = strconv.Itoa(smallMemory)
		files[g.memory+"/cpu.max"] = fmt.Sprintf("%d 100000", smallCPU*1000)
	} else {
		g.memory = filepath.Join(top, "memory", name)
		cpu := filepath.Join(top, "cpu", name)
		g.dirs = []string{g.memory, cpu}
		files[g.memory+"/memory.limit_in_bytes"] = strconv.Itoa(smallMemory)
		files[cpu+"/cpu.cfs_quota_us"] = strconv.Itoa(smallCPU * 1000) // of 100000
	}
	t.Cleanup(func() {
		for _, dir := range g.dirs {
			_ = os.Remove(dir) // it is empty, or was not made
		}
	})
	for _, dir := range g.dirs {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skipf("no cgroup can be made: %v", err)
		}
	}
	for file, text := range files {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Skipf("a cgroup cannot bound memory and processor here: %v", err)
		}
	}
	return g
}

func hasWords(list []string, words ...string) bool {
	for _, w := range words {
		found := false
		for _, l := range list {
			found = found || l == w
		}
		if !found {
			return false
		}
	}
	return true
}

// command is ipnsCommand for a process that begins in the group, where a shell puts itself.
func (g *cgroup) command(t *testing.T, repo string, args ...string) *exec.Cmd {
	t.Helper()
	program := filepath.Join(t.TempDir(), "ipns")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	var enter strings.Builder
	for _, dir := range g.dirs {
		fmt.Fprintf(&enter, "echo $$ > %s/cgroup.procs && ", dir)
	}
	cmd := ipnsCommand(t, repo)
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", enter.String() + `exec "$0" "$@"`, program}, args...)
	return cmd
}

// number reads a file of the group that bounds memory: a number, or that of a line.
func (g *cgroup) number(t *testing.T, file, line string) (n int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(g.memory, file))
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(text, line); ok {
			if n, err = strconv.Atoi(strings.TrimSpace(rest)); err == nil {
				return n
			}
		}
	}
	t.Fatalf("%s of the cgroup has no %q: %s", file, line, b)
	return 0
}

// killed is how often the kernel ended a process of the group for its memory.
func (g *cgroup) killed(t *testing.T) int {
	t.Helper()
	if g.v2 {
		return g.number(t, "memory.events", "oom_kill ")
	}
	return g.number(t, "memory.oom_control", "oom_kill ")
}

// A daemon with 30 % of a core and 256 MB puts 1,000 names of its own, publishes and resolves;
// with -small-for it renews them, too. The network is outside of its cgroup.
func TestASmallMachineKeepsAThousandNames(t *testing.T) {
	if testing.Short() {
		t.Skip("takes most of a minute: a third of a core starts a daemon and puts 1,000 names")
	}
	t.Parallel() // it mostly waits
	group := raspberry(t)
	repo := filepath.Join(t.TempDir(), "repo")
	runIpns(t, repo, "init", "--profile", "lowpower,test")
	if *smallFor > 0 {
		runIpns(t, repo, "config", "Ipns.RepublishPeriod", smallPeriod.String())
		runIpns(t, repo, "config", "Ipns.RecordLifetime", smallLife.String())
	}
	names := smallFill(t, repo)
	nw := testnet.ForTest(t, smallServers)

	begin := time.Now()
	d := startDaemonBy(t, repo, group.command(t, repo, "daemon", "--bootstrap", nw.Addrs()[0]))
	t.Cleanup(d.kill)
	ready := time.Since(begin)
	held := smallHeld(t, nw, names, begin)
	for end := begin.Add(smallWait); held < smallNames && time.Now().Before(end); held = smallHeld(t, nw, names, begin) {
		time.Sleep(time.Second)
	}
	first := time.Since(begin)
	published := smallUse(t, d, nw, names)
	if *smallFor > 0 {
		time.Sleep(*smallFor)
		smallUse(t, d, nw, names)
		held = smallHeld(t, nw, names, begin.Add(smallLife)) // what was stored before ends earlier
	}
	t.Logf("ready after %.1f s; %d of %d names held by %d servers or more, for the first time after %.0f s; a publish took %.2f s; %s; killed for memory %d times",
		ready.Seconds(), held, smallNames, smallHolders, first.Seconds(), published.Seconds(), smallUsed(t, d), group.killed(t))
	if held < smallNames {
		t.Errorf("only %d of %d names are held:\n%s", held, smallNames, d.log.String())
	}
	if n := group.killed(t); n > 0 {
		t.Errorf("it was ended %d times for its memory", n)
	}
}

// smallFill makes the names, with records that last smallLife.
func smallFill(t *testing.T, repo string) []ipns.Name {
	t.Helper()
	d := startDaemon(t, repo)
	defer d.kill() // what was acknowledged is there
	names := make([]ipns.Name, smallNames)
	var g errgroup.Group
	g.SetLimit(16)
	for i := range names {
		g.Go(func() error {
			label := fmt.Sprintf("name%d", i)
			if err := d.call(&struct{}{}, "key/gen", url.Values{"arg": {label}}); err != nil {
				return err
			}
			var p publishAnswer
			err := d.call(&p, "name/publish", url.Values{
				"arg": {fmt.Sprintf("/ipfs/bafkqaaa/%d", i)}, "key": {label}, "resolve": {"false"}, "allow-offline": {"true"}, "lifetime": {smallLife.String()},
			})
			if err != nil {
				return err
			}
			names[i], err = ipns.ParseName(p.Name)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return names
}

// smallHeld counts the names of which enough servers have a record that is valid now and at
// a given time.
func smallHeld(t *testing.T, nw *testnet.Network, names []ipns.Name, until time.Time) (n int) {
	t.Helper()
	for _, name := range names {
		holders := 0
		for _, s := range nw.Closest(name)[:20] {
			raw := s.Record(name)
			if raw == nil {
				continue
			}
			rec, err := ipns.Reopen(name, raw)
			if err != nil {
				t.Fatal(err)
			}
			if rec.EOL().After(time.Now()) && rec.EOL().After(until) {
				holders++
			}
		}
		if holders >= smallHolders {
			n++
		}
	}
	return n
}

// smallUse publishes one of the names, and resolves another by the network.
func smallUse(t *testing.T, d *daemonProcess, nw *testnet.Network, names []ipns.Name) time.Duration {
	t.Helper()
	begin := time.Now()
	var p publishAnswer
	if err := d.call(&p, "name/publish", url.Values{"arg": {"/ipfs/bafkqaaa/again"}, "key": {"name7"}, "resolve": {"false"}}); err != nil {
		t.Errorf("publish: %v\n%s", err, d.log.String())
		return 0
	}
	took := time.Since(begin)
	rec, err := ipns.Reopen(names[7], nw.Holders(names[7])[0].Record(names[7]))
	if err != nil || rec.Value() != "/ipfs/bafkqaaa/again" {
		t.Errorf("the network has %v: %v", rec, err)
	}
	var r struct{ Path string }
	if err := d.call(&r, "name/resolve", url.Values{"arg": {names[8].String()}, "nocache": {"true"}}); err != nil || r.Path != "/ipfs/bafkqaaa/8" {
		t.Errorf("resolves to %s: %v", r.Path, err)
	}
	return took
}

// smallUsed says what memory the process has had at most, and what it has now.
func smallUsed(t *testing.T, d *daemonProcess) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("%v\n%s", err, d.log.String())
	}
	var own, peak int
	for line := range strings.Lines(string(b)) {
		_, _ = fmt.Sscanf(line, "RssAnon: %d kB", &own) // of the lines one is this
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &peak)
	}
	return fmt.Sprintf("%d MB of its own, with program and files %d MB at most", own>>10, peak>>10)
}

// A daemon says how many descriptors it needs, and works with just that many.
func TestADaemonSaysHowManyDescriptorsItNeeds(t *testing.T) {
	t.Parallel() // it waits for other processes
	repo := filepath.Join(t.TempDir(), "repo")
	program := filepath.Join(t.TempDir(), "ipns")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	runIpns(t, repo, "init", "--profile", "test")
	limited := func(ulimit string, args ...string) *exec.Cmd {
		cmd := ipnsCommand(t, repo)
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", ulimit + ` && exec "$0" "$@"`, program}, args...)
		return cmd
	}
	for _, args := range [][]string{{"daemon"}, {"daemon", "--routing-only"}, {"daemon", "--offline"}} {
		out, err := limited("ulimit -n 64", args...).CombinedOutput()
		needs := "200"
		if len(args) > 1 && args[1] == "--offline" {
			needs = "160"
		}
		want := "this process may have 64 files and connections open, and the node needs " + needs + "; allow more with 'ulimit -n " + needs + "'"
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	for _, command := range [][]string{{"key", "gen", "k"}, {"name", "publish", "--allow-offline", "--resolve=false", "-k", "k", "/ipfs/bafkqaaa"}} {
		if out, err := limited("ulimit -n 64", command...).CombinedOutput(); err != nil {
			t.Errorf("a command needs less than a daemon: %v\n%s", err, out)
		}
	}
	const servers = 120 // more than such a node has descriptors for
	nw := testnet.ForTest(t, servers)
	for _, ulimit := range []string{"ulimit -n 200", "ulimit -S -n 64"} { // the soft limit is raised to the hard one
		d := startDaemonBy(t, repo, limited(ulimit, "daemon", "--bootstrap", nw.Addrs()[0]))
		var all sync.WaitGroup
		asking := make(chan struct{}, 16) // a client of the API takes a descriptor, too: it is the servers that are many
		for _, addr := range nw.Addrs() {
			asking <- struct{}{}
			all.Go(func() {
				defer func() { <-asking }()
				_ = d.call(&struct{}{}, "swarm/connect", url.Values{"arg": {addr}, "timeout": {"3s"}}) // some are too many
			})
		}
		all.Wait()
		var p publishAnswer
		if err := d.call(&p, "name/publish", url.Values{"arg": {"/ipfs/bafkqaaa/" + ulimit[7:]}, "key": {"k"}, "resolve": {"false"}}); err != nil {
			t.Errorf("with %s: %v\n%s", ulimit, err, d.log.String())
		}
		if strings.Contains(d.log.String(), "too many open files") {
			t.Errorf("with %s:\n%s", ulimit, d.log.String())
		}
		d.kill()
	}
}
