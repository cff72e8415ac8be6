package interop

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

var (
	pubsubUpdates = flag.Int("pubsub.updates", 20, "updates of a name that travel by pubsub")
	pubsubNames   = flag.Int("pubsub.names", 1000, "names of one daemon that travel by pubsub")
)

// A talker is a daemon whose names travel by pubsub alone, called over its RPC API.
type talker struct {
	*node
	base string
}

// newTalker starts a daemon with pubsub. It has no DHT: Kubo by Routing.Type none, ours
// because nobody whom it meets serves one.
func newTalker(t *testing.T, prog *program, name string) *talker {
	t.Helper()
	n := newNode(t, prog, name)
	if prog == kubo {
		n.run("config", "Routing.Type", "none")
	}
	return restartTalker(n)
}

func restartTalker(n *node) *talker {
	n.t.Helper()
	n.start("--enable-namesys-pubsub")
	a, err := ma.NewMultiaddr(n.rpcAddr())
	mustDo(n.t, err)
	_, host, err := manet.DialArgs(a)
	mustDo(n.t, err)
	return &talker{n, "http://" + host + "/api/v0/"}
}

// try calls the API and reports whether it answered with 200.
func (k *talker) try(into any, command string, args url.Values) (text string, ok bool) {
	k.t.Helper()
	resp, err := http.Post(k.base+command+"?"+args.Encode(), "", nil)
	mustDo(k.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	mustDo(k.t, err)
	if resp.StatusCode != http.StatusOK {
		return string(b), false
	}
	mustDo(k.t, json.Unmarshal(b, into))
	return string(b), true
}

func (k *talker) call(into any, command string, args url.Values) {
	k.t.Helper()
	if text, ok := k.try(into, command, args); !ok {
		k.t.Fatalf("%s: %s: %s", k.name, command, text)
	}
}

// update publishes a value under a key and returns the name and when that was done.
func (k *talker) update(key, value string) (name string, done time.Time) {
	k.t.Helper()
	var got published
	k.call(&got, "name/publish", url.Values{"arg": {value}, "key": {key}, "resolve": {"false"}, "allow-offline": {"true"}})
	return got.Name, time.Now()
}

// value returns what a name is here; "": nothing so far.
func (k *talker) value(name string) string {
	k.t.Helper()
	var got struct{ Path string }
	k.try(&got, "name/resolve", url.Values{"arg": {name}, "nocache": {"true"}, "dht-record-count": {"1"}, "dht-timeout": {"20ms"}})
	return got.Path
}

// listens waits until the daemon is subscribed to a name, which asking for it does.
func (k *talker) listens(name string) {
	k.t.Helper()
	eventually(k.t, k.name+" is subscribed", func() bool {
		k.value(name)
		var subs struct{ Strings []string }
		k.call(&subs, "name/pubsub/subs", nil)
		return slices.Contains(subs.Strings, "/ipns/"+name)
	})
}

// lags publishes updates and returns how long after each publish the others had it.
func (k *talker) lags(name string, n int, others ...*talker) []time.Duration {
	k.t.Helper()
	var lags []time.Duration
	for i := range n {
		value := fmt.Sprintf("/ipfs/bafkqaaa/%s-%d", k.name, i)
		_, done := k.update("self", value)
		for _, o := range others {
			for o.value(name) != value {
				if time.Since(done) > eventuallyTimeout {
					k.t.Fatalf("%s has not got update %d of %s within %v", o.name, i, k.name, eventuallyTimeout)
				}
				time.Sleep(time.Millisecond)
			}
			lags = append(lags, time.Since(done))
		}
	}
	slices.Sort(lags)
	return lags
}

func (k *talker) newName(key string) string {
	k.t.Helper()
	var got struct{ ID string }
	k.call(&got, "key/gen", url.Values{"arg": {key}})
	return got.ID
}

func (k *talker) self() string {
	k.t.Helper()
	var keys struct{ Keys []struct{ Name, ID string } }
	k.call(&keys, "key/list", nil)
	return keys.Keys[0].ID
}

// maxLag is the goal for the median of connected hosts, unless the machine is so busy that
// updates of Kubo take long to come to Kubo, too.
const maxLag = time.Second

// T-20 to T-32: updates travel between two Kubo and ours without a DHT, in both
// directions; who comes late fetches; and so it is after restarts.
func TestPubsubWithKubo(t *testing.T) {
	us, one, two := newTalker(t, ours, "ipns"), newTalker(t, kubo, "ipfs-1"), newTalker(t, kubo, "ipfs-2")
	connect(us.node, one.node, two.node)

	// From here to both.
	name := us.self()
	us.update("self", "/ipfs/bafkqaaa/first")
	one.listens(name)
	eventually(t, "a late Kubo fetches", func() bool { return one.value(name) == "/ipfs/bafkqaaa/first" })
	two.listens(name)
	eventually(t, "and another", func() bool { return two.value(name) == "/ipfs/bafkqaaa/first" })
	out := us.lags(name, *pubsubUpdates, one, two)
	// And back.
	theirs := one.self()
	one.update("self", "/ipfs/bafkqaaa/theirs")
	us.listens(theirs)
	eventually(t, "a late ipns fetches", func() bool { return us.value(theirs) == "/ipfs/bafkqaaa/theirs" })
	in := one.lags(theirs, *pubsubUpdates, us)
	two.listens(theirs)
	eventually(t, "and another Kubo", func() bool { return two.value(theirs) == us.value(theirs) })
	among := one.lags(theirs, *pubsubUpdates, two)
	t.Logf("update after publish: ipns to Kubo p50 %v, max %v; Kubo to ipns p50 %v, max %v; Kubo to Kubo p50 %v",
		out[len(out)/2], out[len(out)-1], in[len(in)/2], in[len(in)-1], among[len(among)/2])
	if most := max(maxLag, 10*among[len(among)/2]); out[len(out)/2] > most || in[len(in)/2] > most {
		t.Errorf("the median is above %v", most)
	}

	// After a restart it listens again, and Kubo listens to it.
	us.stop()
	us = restartTalker(us.node)
	var subs struct{ Strings []string }
	us.call(&subs, "name/pubsub/subs", nil)
	if !slices.Contains(subs.Strings, "/ipns/"+theirs) || !slices.Contains(subs.Strings, "/ipns/"+name) {
		t.Errorf("subscriptions after the restart: %q", subs.Strings)
	}
	connect(us.node, one.node, two.node)
	us.lags(name, 1, one, two)
	one.lags(theirs, 1, us)

	// A name that is not listened to here: who begins to listen gets the record all the same.
	quiet := us.newName("quiet")
	us.update("quiet", "/ipfs/bafkqaaa/quiet")
	us.stop()
	mustDo(t, os.Remove(filepath.Join(us.repo, "pubsub")))
	us = restartTalker(us.node)
	connect(us.node, one.node, two.node)
	one.listens(quiet)
	eventually(t, "Kubo has the record", func() bool { return one.value(quiet) == "/ipfs/bafkqaaa/quiet" })
}

// One daemon publishes many names, and a Kubo that listens to them has them all.
func TestPubsubOfManyNames(t *testing.T) {
	us, them := newTalker(t, ours, "ipns"), newTalker(t, kubo, "ipfs")
	connect(us.node, them.node)
	names := make([]string, *pubsubNames)
	for i := range names {
		names[i] = us.newName(fmt.Sprint("name-", i))
	}
	for _, name := range names {
		them.value(name)
	}
	them.listens(names[len(names)-1])
	begin := time.Now()
	for i := range names {
		us.update(fmt.Sprint("name-", i), fmt.Sprint("/ipfs/bafkqaaa/", i))
	}
	published := time.Since(begin)
	missing := 0
	for i, name := range names {
		if them.value(name) != fmt.Sprint("/ipfs/bafkqaaa/", i) {
			missing++
		}
	}
	t.Logf("%d names published in %v; %d of them were not with Kubo right after", len(names), published.Round(time.Millisecond), missing)
	eventually(t, "Kubo has all", func() bool {
		for i, name := range names {
			if them.value(name) != fmt.Sprint("/ipfs/bafkqaaa/", i) {
				return false
			}
		}
		return true
	})
	var subs struct{ Strings []string }
	us.call(&subs, "name/pubsub/subs", nil)
	if len(subs.Strings) != len(names) {
		t.Errorf("%d subscriptions, want %d", len(subs.Strings), len(names))
	}
	// Kubo's command is answered alike.
	if got, want := us.line("name", "pubsub", "cancel", names[0]), them.line("name", "pubsub", "cancel", names[0]); got != want || got != "canceled" {
		t.Errorf("cancel prints %q, Kubo's %q", got, want)
	}
	for _, args := range [][]string{{"name", "pubsub", "cancel", names[0]}, {"name", "pubsub", "state"}, {"name", "pubsub", "cancel", "nonsense"}} {
		got, want := us.node.try(nil, args...), them.node.try(nil, args...)
		if got.stdout != want.stdout || got.code != want.code {
			t.Errorf("%s prints %q (%d), Kubo's %q (%d)", strings.Join(args, " "), got.stdout, got.code, want.stdout, want.code)
		}
	}
}

// Two who are not connected meet as those who listen to a topic: each is a provider of
// its CID in the DHT, in the words of Kubo.
func TestPubsubPeersMeetByTheDHT(t *testing.T) {
	_, addr := startTestnet(t, 30)
	start := func(prog *program) *talker {
		n := newNode(t, prog, prog.name)
		n.run("config", "Routing.Type", "dhtclient")
		k := restartTalker(n)
		k.run("swarm", "connect", addr)
		eventually(t, k.name+" knows the network", func() bool { return strings.Count(k.run("swarm", "peers"), "\n") >= 20 })
		return k
	}
	us, them := start(ours), start(kubo)
	if strings.Contains(us.run("swarm", "peers"), them.peerID()) {
		t.Skip("they have met already, by chance")
	}
	name := us.self()
	us.update("self", "/ipfs/bafkqaaa/first")
	eventually(t, "Kubo resolves it", func() bool {
		var got struct{ Path string }
		them.try(&got, "name/resolve", url.Values{"arg": {name}, "nocache": {"true"}, "dht-timeout": {"10s"}})
		return got.Path == "/ipfs/bafkqaaa/first"
	})
	them.listens(name)
	eventually(t, "they are connected", func() bool { return strings.Contains(us.run("swarm", "peers"), them.peerID()) })
	eventually(t, "the receipt has Kubo as a pubsub peer", func() bool {
		var got struct {
			Networks []struct {
				Network   string
				Announced int
			}
		}
		us.call(&got, "name/publish", url.Values{"arg": {"/ipfs/bafkqaaa/second"}, "resolve": {"false"}})
		for _, n := range got.Networks {
			if n.Network == "pubsub" && n.Announced == 1 {
				return true
			}
		}
		return false
	})
	eventually(t, "Kubo has the update", func() bool { return them.value(name) == "/ipfs/bafkqaaa/second" })
}
