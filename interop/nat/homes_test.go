package nat

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	publicServers = 30
	replicas      = 20               // servers that should have a record
	startAtOnce   = 4                // daemons
	cellsAtOnce   = 4                // that are measured
	waitsAtOnce   = 60               // that only wait
	tries         = 4                // of a fetch that should work: packets are lost
	published     = "/ipfs/bafkqaaa" // is what names lead to
	wordsWithin   = time.Minute      // from the start of a daemon to true words
	relayWithin   = 5 * time.Minute  // until it can be called through a relay
)

// A neighbourhood is the homes of one side, with both programs in each.
type neighbourhood struct {
	ours, kubo []*node // of the same home at the same index
}

func (b *neighbourhood) all() []*node { return slices.Concat(b.ours, b.kubo) }

// newNeighbourhood makes homes, with the repos of both programs in each.
func (n *internet) newNeighbourhood(t *testing.T, side string, kinds ...kind) *neighbourhood {
	t.Helper()
	b := &neighbourhood{make([]*node, len(kinds)), make([]*node, len(kinds))}
	var inits errgroup.Group
	inits.SetLimit(startAtOnce)
	homes := make([]*home, len(kinds))
	for i, k := range kinds {
		homes[i] = n.newHome(t, k, side+"-"+k.name)
	}
	for i, h := range homes {
		inits.Go(func() (err error) { b.ours[i], err = initNode(t, h, ours); return err })
		inits.Go(func() (err error) { b.kubo[i], err = initNode(t, h, kubo); return err })
	}
	if err := inits.Wait(); err != nil {
		t.Fatal(err)
	}
	return b
}

// each does something with all elements, so many at once.
func each[E any](t *testing.T, list []E, atOnce int, do func(E) error) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(atOnce)
	errs := make([]error, len(list))
	for i, e := range list {
		g.Go(func() error { errs[i] = do(e); return nil })
	}
	_ = g.Wait() // the errors are below
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

var relayLine = regexp.MustCompile(`StaticRelays '(\[.*\])'`)

// startRelay starts `ipns relay` on a public host, and sets it in the config of the nodes that it
// is for.
func (n *internet) startRelay(t *testing.T, nodes []*node) {
	t.Helper()
	if len(nodes) == 0 {
		return
	}
	args := []string{"relay"}
	for _, node := range nodes {
		args = append(args, node.id)
	}
	relay, err := initNode(t, n.newHost(t, "relay"), ours)
	if err == nil {
		err = relay.launch("Relay is ready", args...)
	}
	if err != nil {
		t.Fatal(err)
	}
	list := relayLine.FindStringSubmatch(relay.log.tail())
	if list == nil {
		t.Fatalf("the relay does not say how it is used:\n%s", relay.log.tail())
	}
	for _, node := range nodes {
		value := list[1]
		if node.prog == kubo {
			// Kubo takes several addresses for several relays, and waits 3 min for the others.
			var addrs []string
			if err := json.Unmarshal([]byte(value), &addrs); err != nil {
				t.Fatal(err)
			}
			value = `["` + addrs[0] + `"]`
		}
		if err := node.set("Swarm.RelayClient.StaticRelays", value); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBehindRouters has homes of each kind on two sides. Names of the one side are resolved on the
// other, and content is fetched. The steps build on each other.
func TestBehindRouters(t *testing.T) {
	t.Parallel() // it mostly waits
	need(t)
	net := newInternet(t, "n", publicServers)
	near := net.newNeighbourhood(t, "a", cone, port, symmetric, noUDP, ipv6, portRelay, symRelay)
	far := net.newNeighbourhood(t, "b", cone, port, symmetric, noUDP, firewall6)
	net.startRelay(t, slices.DeleteFunc(near.all(), func(n *node) bool { return !n.home.relay }))
	each(t, slices.Concat(near.all(), far.all()), startAtOnce, (*node).start)

	var cells []*cell
	for _, from := range near.all() {
		for i := range far.ours {
			cells = append(cells, &cell{from: from, to: far.ours[i]})
			if from.prog == ours {
				cells = append(cells, &cell{from: from, to: far.kubo[i]})
			}
		}
	}
	t.Run("words say whether others can connect", func(t *testing.T) {
		each(t, slices.Concat(near.ours, far.ours), waitsAtOnce, (*node).words)
	})
	t.Run("names are published and resolved", func(t *testing.T) {
		each(t, near.all(), cellsAtOnce, (*node).publish)
		each(t, cells, cellsAtOnce, (*cell).resolve)
	})
	t.Run("content comes the way it can", func(t *testing.T) {
		each(t, near.all(), waitsAtOnce, (*node).findsRelay)
		each(t, cells, cellsAtOnce, func(c *cell) (err error) { c.cid, err = c.from.add(); return err })
		each(t, cells, waitsAtOnce, func(c *cell) error { return c.from.announced(c.cid) })
		var come, refuse []*cell
		for _, c := range cells {
			if c.mayBeRefused() {
				refuse = append(refuse, c)
			} else {
				come = append(come, c)
			}
		}
		each(t, come, cellsAtOnce, func(c *cell) (err error) {
			for range tries {
				if err = c.fetch(); err == nil && c.way != refused {
					break
				}
			}
			return err
		})
		each(t, refuse, waitsAtOnce, (*cell).fetch)
		for _, c := range cells {
			t.Logf("%-20v %-20v %-12s %5dms, name %5dms", c.from, c.to, c.way, c.first.Milliseconds(), c.took.Milliseconds())
			if !c.asExpected() {
				t.Errorf("%v from %v: %s, want %s\n%s", c.to, c.from, c.way, expected(c.from.home.kind, c.to.home.kind), c.why)
			}
		}
		compareTable(t, cells)
	})
	t.Run("a host outside agrees", func(t *testing.T) {
		outside, err := initNode(t, net.newHost(t, "outside"), ours)
		if err != nil {
			t.Fatal(err)
		}
		each(t, near.ours, cellsAtOnce, func(n *node) error {
			// All that is public here is one net, in which the host finds some that count as its
			// LAN. The exit code is about those, too; here it is about the public network.
			out, stderr, _ := outside.try("name", "check", "--json", n.name)
			var report report
			if err := json.Unmarshal([]byte(out), &report); err != nil {
				return fmt.Errorf("%w: %s%s", err, out, stderr)
			}
			return n.agrees(report)
		})
	})
}

// report is what `name check` tells.
type report struct {
	Verdict string
	Newest  *struct{ Value string }
	Sources []struct {
		Network, Source, Error string
		Record                 *struct{ Value string }
	}
}

// agrees compares a report on the node's name with what each of the public servers has. Homes that
// others can connect to have become servers since the publish, and may be among the closest; what
// they have is counted, but not compared: they get records while they are asked.
func (n *node) agrees(r report) error {
	all, err := n.home.net.holders(n.name)
	if err != nil {
		return err
	}
	has := make(map[string]bool)
	for _, h := range all {
		if slices.ContainsFunc(n.home.net.peers, func(p peerAddrs) bool { return p.ID == h.ID }) {
			has[h.ID] = h.Has
		}
	}
	held, asked, compared := 0, 0, 0
	for _, s := range r.Sources {
		if s.Network != "wan" || s.Error != "" {
			continue
		}
		asked++
		if s.Record != nil {
			held++
		}
		known, ok := has[s.Source]
		if !ok {
			continue // a home
		}
		compared++
		if known != (s.Record != nil) {
			return fmt.Errorf("of the name of %v: %s has the record: %v, but told was %+v", n, s.Source, known, s)
		}
	}
	if want := fmt.Sprintf("%d of the %d closest servers", held, replicas); asked != replicas || held < replicas/2 || compared < replicas/2 ||
		r.Newest == nil || r.Newest.Value != published || !strings.Contains(r.Verdict, want) {
		return fmt.Errorf("of the name of %v, %d of %d have it, but told was %s, %+v", n, held, asked, r.Verdict, r.Newest)
	}
	n.t.Logf("%v: %s", n, r.Verdict)
	return nil
}

// words waits until the node says who can fetch from it, as is so.
func (n *node) words() error {
	var s struct{ Reachability, Fetch, UDP, Meaning string }
	took, err := eventually(time.Until(n.started.Add(wordsWithin)), fmt.Sprintf("%v says that from it can fetch: %s", n, n.home.fetch), func() bool {
		// That no relay is found yet is true for a while.
		return n.call(&s, "swarm/addrs/autonat", nil) == nil && (s.Fetch == n.home.fetch || s.Fetch == "nobody" && !n.home.any && !n.relayed())
	})
	if err != nil {
		return fmt.Errorf("%w, but %+v", err, s)
	}
	n.t.Logf("%v: %+v after %v", n, s, took.Round(time.Second))
	return nil
}

// findsRelay waits until a node that others cannot connect to can be called through a relay.
func (n *node) findsRelay() error {
	if n.home.any {
		return nil
	}
	_, err := eventually(time.Until(n.started.Add(relayWithin)), fmt.Sprintf("%v has a relay", n), n.relayed)
	return err
}

// publish publishes the node's own name, and compares what is told with what the servers have.
func (n *node) publish() error {
	var got struct {
		Name          string
		Announced, Of *int
	}
	args := url.Values{"arg": {published}, "resolve": {"false"}}
	if n.prog == ours {
		args.Set("wait", "all")
	}
	if err := n.call(&got, "name/publish", args); err != nil {
		return err
	}
	n.name = strings.TrimPrefix(got.Name, "/ipns/")
	if n.prog != ours {
		return nil
	}
	all, err := n.home.net.holders(n.name)
	if err != nil {
		return err
	}
	have := 0
	for _, h := range all {
		if h.Has {
			have++
		}
	}
	if got.Announced == nil || got.Of == nil || *got.Of != replicas || *got.Announced != min(have, replicas) {
		return fmt.Errorf("%v says %+v; %d servers have the record", n, got, have)
	}
	n.t.Logf("%v: %d of %d; %d servers of %d have the record", n, *got.Announced, *got.Of, have, len(all))
	return nil
}
