package verbs

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/leaktest"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
	"github.com/goipns/ipns/rpc"
)

// A closed node leaves nothing running, whatever it was doing.
func TestCloseLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	r := newRepo(t)
	nw, err := testnet.Start(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []node.Config{{Offline: true}, {}, {Bootstrap: nw.Addrs()[:1]}} {
		o.API = Mux
		n, err := node.New(t.Context(), r, o)
		if err != nil {
			t.Fatal(err)
		}
		s, err := n.Serve()
		if err != nil {
			t.Fatal(err)
		}
		cid := add(t, Mux(n), "hello")
		if _, err := publish(t, Mux(n), api.PublishRequest{Path: cid, AllowOffline: true}); err != nil {
			t.Error(err)
		}
		if err := errors.Join(s.Close(), n.Close()); err != nil {
			t.Error(err)
		}
		if _, err := r.API(); err == nil {
			t.Error("the address of the API is still there")
		}
	}
	if err := nw.Close(); err != nil {
		t.Error(err)
	}
	leaktest.VerifyNone(t, before,
		// Timers and caches that go-libp2p keeps for the life of the process.
		goleak.IgnoreTopFunction("github.com/ipfs/go-log/v2/writer.(*MirrorWriter).logRoutine"),
		goleak.IgnoreTopFunction("github.com/libp2p/go-flow-metrics.(*sweeper).run"),
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// A-10, P-14, P-15: what one node publishes is visible to others, and at once at every
// interface of the node itself.
func TestPublishIsVisibleOnEveryDoor(t *testing.T) {
	t.Parallel() // it mostly waits
	nw := testnet.ForTest(t, 25)
	us := start(t, newRepo(t), node.Config{Bootstrap: nw.Addrs()[:1]})
	// The other node is no server, so that the receipt counts only the servers of the
	// network.
	silent := newRepo(t)
	if _, err := silent.Set("Routing.Type", "dhtclient"); err != nil {
		t.Fatal(err)
	}
	other := start(t, silent, node.Config{Bootstrap: nw.Addrs()[1:2]})
	doors, err := us.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { doors.Close() })
	client, err := rpc.NewClient(doors.API.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	name := us.Name.String()
	for i := range 5 {
		text := fmt.Sprintf("version %d", i)
		cid := add(t, Mux(us), text)
		p, err := publish(t, Mux(us), api.PublishRequest{Path: cid, Wait: "15"})
		if err != nil {
			t.Fatal(err)
		}
		if p.Announced < 15 || p.Of < 15 || p.Of > 20 || p.Sequence != uint64(i) || !p.Stored {
			t.Errorf("receipt %+v", p)
		}
		if got := len(nw.Holders(us.Name)); got < p.Announced {
			t.Errorf("%d servers hold the record, the receipt says %d", got, p.Announced)
		}
		want := "/ipfs/" + cid
		for door, to := range map[string]rpc.Caller{"own": Mux(us), "API": client} {
			if got := resolve(t, to, name, false); got != want {
				t.Errorf("%s, cached: %s, want %s", door, got, want)
			}
			if got := resolve(t, to, name, true); got != want {
				t.Errorf("%s, not cached: %s, want %s", door, got, want)
			}
		}
		if got := fetch(t, doors.GatewayURL()+"/ipns/"+name); got != text {
			t.Errorf("gateway: %q, want %q", got, text)
		}
		if got := resolve(t, Mux(other), name, true); got != want {
			t.Errorf("other node: %s, want %s", got, want)
		}
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %q %v", url, resp.Status, b, err)
	}
	return string(b)
}

// Progress starts with the stored record; then the count grows.
func TestPublishProgress(t *testing.T) {
	nw := testnet.ForTest(t, 22)
	n := start(t, newRepo(t), node.Config{Bootstrap: nw.Addrs()[:1]})
	req := rpc.New[api.PublishRequest]()
	req.Path, req.Resolve, req.Progress, req.Wait = "/ipfs/bafkqaaa", false, true, "15"
	last, events := -1, 0
	for p, err := range rpc.Call(t.Context(), Mux(n), api.NamePublish, req) {
		if err != nil {
			t.Fatal(err)
		}
		if !p.Stored || p.Name != n.Name.String() || p.Announced < last {
			t.Errorf("event %d: %+v after %d", events, p, last)
		}
		last = p.Announced
		events++
	}
	if last < 15 || events < last {
		t.Errorf("%d events, the last with %d", events, last)
	}
}

// V4 between nodes: two nodes with one key do not use each other's sequence.
func TestIfSequenceOverTheAPI(t *testing.T) {
	n := start(t, newRepo(t), node.Config{Offline: true})
	var wg sync.WaitGroup
	errs := make([]error, 8)
	if _, err := publish(t, Mux(n), api.PublishRequest{Path: "/ipfs/bafkqaaa", AllowOffline: true}); err != nil {
		t.Fatal(err)
	}
	zero := uint64(0)
	cids := make([]string, len(errs))
	for i := range cids {
		cids[i] = add(t, Mux(n), fmt.Sprint(i))
	}
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = publish(t, Mux(n), api.PublishRequest{Path: cids[i], AllowOffline: true, IfSequence: &zero})
		})
	}
	wg.Wait()
	won := -1
	for i, err := range errs {
		if err == nil {
			if won >= 0 {
				t.Errorf("both %d and %d won", won, i)
			}
			won = i
		} else if !strings.Contains(err.Error(), "should be 0, but /ipfs/") {
			t.Errorf("%d: %v", i, err)
		}
	}
	if won < 0 {
		t.Fatal("nobody won")
	}
	if got := resolve(t, Mux(n), n.Name.String(), false); got != "/ipfs/"+cids[won] {
		t.Errorf("the name means %s, want %s", got, cids[won])
	}
}

// A neighbour is not the public network. While that is expected and away, a search of
// both is not complete, and a publish that reaches only the neighbour fails.
func TestANeighbourDoesNotStandForThePublicNetwork(t *testing.T) {
	t.Parallel() // it mostly waits
	n := start(t, newRepo(t), node.Config{Bootstrap: []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS"}})
	nw := testnet.ForTest(t, 1)
	if _, err := rpc.Do(t.Context(), Mux(n), api.SwarmConnect, api.SwarmConnectRequest{Addresses: nw.Addrs()}); err != nil {
		t.Fatal(err)
	}
	rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	var ended error
	for _, err := range n.Router.Search(t.Context(), rec.Name()) {
		ended = err
	}
	var part *routing.IncompleteError
	if !errors.As(ended, &part) || !errors.Is(ended, routing.ErrAway) {
		t.Errorf("the search ended with %v", ended)
	}
	_, err := publish(t, Mux(n), api.PublishRequest{Path: "/ipfs/bafkqaaa"})
	if err == nil || !strings.Contains(err.Error(), "only to 1 on other networks") || rpc.ReasonOf(err) != "away unannounced" {
		t.Errorf("published: %v", err)
	}
	s, err := n.Republisher.Look(t.Context())
	if err != nil || s.AtRiskCount != 1 {
		t.Errorf("%d names are at risk, %v", s.AtRiskCount, err)
	}
	if u, err := n.Book.Upkeep(t.Context(), n.Name); err != nil || time.Until(u.Due) > 10*time.Minute {
		t.Errorf("announced again at %v, %v", u.Due, err)
	}
}
