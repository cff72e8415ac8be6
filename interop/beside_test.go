package interop

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

var (
	besideNames   = flag.Int("beside.names", 8, "names that are published and resolved beside Kubo")
	besideServers = flag.Bool("beside.servers", false, "both daemons also serve the DHT, and hold two records in three themselves")
)

// TestBesideKubo lets a Kubo daemon and ours publish and resolve over their RPC
// APIs on one network of 30 servers, in turns, and prints how long that took and
// how much processor. It asserts what was asked for, not how fast.
func TestBesideKubo(t *testing.T) {
	_, addr := startTestnet(t, 30)
	them := newClient(t, kubo, addr)
	us := newClient(t, ours, addr)
	pairs := []*client{us, them}
	names := map[*client][]string{}
	for i := range *besideNames {
		for _, c := range pairs {
			names[c] = append(names[c], c.newKey(t, fmt.Sprintf("beside-%d", i)))
		}
	}
	other := map[*client]*client{us: them, them: us}
	var table strings.Builder
	measure := func(what string, op func(c *client, i int)) {
		for _, c := range pairs {
			c.begin()
		}
		for i := range *besideNames {
			for _, c := range pairs {
				c.timed(func() { op(c, i) })
			}
			slices.Reverse(pairs) // whoever comes second finds warm caches
		}
		a, b := us.end(*besideNames), them.end(*besideNames)
		fmt.Fprintf(&table, "| %s | %.1f / %.1f ms | %.1f / %.1f ms | %.2f | %.1f ms | %.1f ms | %.2f |\n", what,
			ms(a.p50), ms(a.p95), ms(b.p50), ms(b.p95), ms(a.p50)/ms(b.p50), ms(a.cpu), ms(b.cpu), ms(a.cpu)/ms(b.cpu))
	}
	value := func(n int) string { return fmt.Sprintf("/ipfs/bafkqaaa/%d", n) }
	publish := func(n int) func(*client, int) {
		return func(c *client, i int) {
			var got published
			c.call(t, &got, "name/publish", url.Values{"arg": {value(n)}, "key": {names[c][i]}, "resolve": {"false"}})
			if got.Value != value(n) {
				t.Errorf("%s: published %q", c.name, got.Value)
			}
		}
	}
	resolve := func(n int, options url.Values) func(*client, int) {
		return func(c *client, i int) {
			options := url.Values{"arg": {names[other[c]][i]}, "nocache": options["nocache"], "dht-record-count": options["dht-record-count"]}
			var got struct{ Path string }
			c.call(t, &got, "name/resolve", options)
			if got.Path != value(n) {
				t.Errorf("%s: resolved to %q, want %q", c.name, got.Path, value(n))
			}
		}
	}
	measure("publish, first", publish(1))
	measure("publish, update", publish(2))
	measure("resolve, new to the node", resolve(2, nil))
	measure("resolve --nocache", resolve(2, url.Values{"nocache": {"true"}}))
	measure("resolve --nocache, 1 record", resolve(2, url.Values{"nocache": {"true"}, "dht-record-count": {"1"}}))
	measure("resolve --nocache, 16 records", resolve(2, url.Values{"nocache": {"true"}, "dht-record-count": {"16"}}))
	t.Logf("%d names, ours and Kubo %s in turns: p50 / p95, and processor time of the daemon for each\n"+
		"| | ours | Kubo | p50 | ours CPU | Kubo CPU | CPU |\n|---|---|---|---|---|---|---|\n%s", *besideNames, them.version(), table.String())
}

// startTestnet starts a private network of our servers and returns an address of it.
func startTestnet(t *testing.T, servers int) (network *node, addr string) {
	t.Helper()
	network = &node{t: t, prog: ours, bin: ours.binary(t), repo: t.TempDir(), name: "testnet"}
	network.launch([]string{"testnet", "-n", strconv.Itoa(servers)}, "ipfs swarm connect /")
	eventually(t, "testnet prints how to join it", func() bool {
		m := joinLine.FindStringSubmatch(network.daemon.log.String())
		if m != nil {
			addr = m[1]
		}
		return m != nil
	})
	return network, addr
}

// A client is a daemon that is called over its RPC API, and measured.
type client struct {
	*node
	base string // of the API

	took  []time.Duration
	spent time.Duration // processor time of the daemon, inside of timed
}

// newClient starts a daemon that has joined the network at addr. Settings are keys
// of its config, each with a value after it.
func newClient(t *testing.T, prog *program, addr string, settings ...string) *client {
	t.Helper()
	c := &client{node: newNode(t, prog, prog.name)}
	for i := 0; i < len(settings); i += 2 {
		c.run("config", settings[i], settings[i+1])
	}
	if !*besideServers {
		c.run("config", "Routing.Type", "dhtclient")
	}
	c.start()
	c.run("swarm", "connect", addr)
	a, err := ma.NewMultiaddr(c.rpcAddr())
	mustDo(t, err)
	_, host, err := manet.DialArgs(a)
	mustDo(t, err)
	c.base = "http://" + host + "/api/v0/"
	eventually(t, c.name+" knows the network", func() bool {
		return strings.Count(c.run("swarm", "peers"), "\n") >= 20
	})
	return c
}

// call calls the RPC API and decodes its answer.
func (c *client) call(t *testing.T, into any, command string, args url.Values) {
	t.Helper()
	resp, err := http.Post(c.base+command+"?"+args.Encode(), "", nil)
	mustDo(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", c.name, command, resp.Status)
	}
	mustDo(t, json.NewDecoder(resp.Body).Decode(into))
}

func (c *client) newKey(t *testing.T, key string) string {
	t.Helper()
	var got struct{ ID string }
	c.call(t, &got, "key/gen", url.Values{"arg": {key}})
	return got.ID
}

func (c *client) begin() { c.took, c.spent = nil, 0 }

// timed measures one operation. What the daemon does in the background counts if
// it ends before the operation of the other one begins.
func (c *client) timed(op func()) {
	cpu, begin := c.cpu(), time.Now()
	op()
	c.took = append(c.took, time.Since(begin))
	time.Sleep(50 * time.Millisecond)
	c.spent += c.cpu() - cpu
}

type figures struct{ p50, p95, cpu time.Duration }

func (c *client) end(operations int) figures {
	slices.Sort(c.took)
	return figures{c.took[len(c.took)/2], c.took[len(c.took)*95/100], c.spent / time.Duration(operations)}
}

// cpu is the processor time that the daemon has used so far.
func (c *client) cpu() time.Duration { return processorTime(c.t, c.daemon.cmd.Process.Pid) }

// processorTime reads what a process has used, its threads included, from /proc.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	mustDo(t, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		mustDo(t, err)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 wherever Go runs on Linux
}

func (c *client) version() string { return c.line("version", "--number") }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
