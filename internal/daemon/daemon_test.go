package daemon

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/rpc"
)

// newRepo makes a repo of the profile test.
func newRepo(t *testing.T) repo.Repo {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ipns.MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := repo.NewConfig(repo.Identity{PeerID: name.PeerID().String(), PrivKey: base64.StdEncoding.EncodeToString(b)})
	if err := c.Apply("test"); err != nil {
		t.Fatal(err)
	}
	r := repo.Repo(filepath.Join(t.TempDir(), "repo"))
	if err := Init(t.Context(), r, c); err != nil {
		t.Fatal(err)
	}
	return r
}

// start starts a node that ends with the test.
func start(t *testing.T, r repo.Repo, o Options) *Node {
	t.Helper()
	n, err := New(t.Context(), r, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

func servers(t *testing.T, n int) *testnet.Network {
	t.Helper()
	nw, err := testnet.Start(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nw.Close() })
	return nw
}

// add adds one file and returns its CID.
func add(t *testing.T, n rpc.Node, text string) string {
	t.Helper()
	version := 1
	a, err := rpc.Last(n.Add(t.Context(), rpc.AddRequest{
		Pin: true, CIDVersion: &version,
		Files: func(yield func(rpc.File, error) bool) { yield(rpc.File{Body: strings.NewReader(text)}, nil) },
	}))
	if err != nil {
		t.Fatal(err)
	}
	return a.Hash
}

func publish(t *testing.T, n rpc.Node, req rpc.PublishRequest) (rpc.Published, error) {
	t.Helper()
	full := rpc.PublishRequest{}
	rpc.SetDefaults(&full)
	full.Path, full.AllowOffline, full.IfSequence, full.Progress = req.Path, req.AllowOffline, req.IfSequence, req.Progress
	if req.Key != "" {
		full.Key = req.Key
	}
	return rpc.Last(n.NamePublish(t.Context(), full))
}

func resolve(t *testing.T, n rpc.Node, name string, nocache bool) string {
	t.Helper()
	req := rpc.ResolveRequest{}
	rpc.SetDefaults(&req)
	req.Name, req.NoCache = name, nocache
	got, err := rpc.Last(n.NameResolve(t.Context(), req))
	if err != nil {
		t.Fatalf("resolve %s: %v", name, err)
	}
	return got.Path
}

// A node that was closed has left nothing behind, whatever it was doing.
func TestCloseLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	r := newRepo(t)
	nw, err := testnet.Start(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{Offline: true}, {}, {Bootstrap: nw.Addrs()[:1]}} {
		n, err := New(t.Context(), r, o)
		if err != nil {
			t.Fatal(err)
		}
		s, err := n.Serve()
		if err != nil {
			t.Fatal(err)
		}
		cid := add(t, n, "hello")
		if _, err := publish(t, n, rpc.PublishRequest{Path: cid, AllowOffline: true}); err != nil {
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
	goleak.VerifyNone(t, before,
		// Timers and caches that go-libp2p and its parts keep for the process.
		goleak.IgnoreTopFunction("github.com/ipfs/go-log/v2/writer.(*MirrorWriter).logRoutine"),
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// A-10, P-14, P-15: what one node publishes, others see, and every door of its
// own shows at once.
func TestPublishIsVisibleOnEveryDoor(t *testing.T) {
	nw := servers(t, 25)
	us := start(t, newRepo(t), Options{Bootstrap: nw.Addrs()[:1]})
	// The other one serves nobody, so that the servers of the network are all that
	// a receipt can count.
	client := newRepo(t)
	if _, err := client.Set("Routing.Type", "dhtclient"); err != nil {
		t.Fatal(err)
	}
	other := start(t, client, Options{Bootstrap: nw.Addrs()[1:2]})
	doors, err := us.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { doors.Close() })
	api, err := rpc.NewClient(doors.API.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	name := us.name.String()
	for i := range 5 {
		text := fmt.Sprintf("version %d", i)
		cid := add(t, us, text)
		p, err := publish(t, us, rpc.PublishRequest{Path: cid})
		if err != nil {
			t.Fatal(err)
		}
		if p.Announced < 15 || p.Of != 20 || p.Sequence != uint64(i) || !p.Stored {
			t.Errorf("receipt %+v", p)
		}
		if got := len(nw.Holders(us.name)); got < p.Announced {
			t.Errorf("%d servers hold the record, the receipt says %d", got, p.Announced)
		}
		want := "/ipfs/" + cid
		for door, n := range map[string]rpc.Node{"own": us, "API": api} {
			if got := resolve(t, n, name, false); got != want {
				t.Errorf("%s, cached: %s, want %s", door, got, want)
			}
			if got := resolve(t, n, name, true); got != want {
				t.Errorf("%s, not cached: %s, want %s", door, got, want)
			}
		}
		if got := fetch(t, doors.GatewayURL()+"/ipns/"+name); got != text {
			t.Errorf("gateway: %q, want %q", got, text)
		}
		if got := resolve(t, other, name, true); got != want {
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

// Progress tells of the stored record first and of growing numbers then.
func TestPublishProgress(t *testing.T) {
	nw := servers(t, 22)
	n := start(t, newRepo(t), Options{Bootstrap: nw.Addrs()[:1]})
	req := rpc.PublishRequest{}
	rpc.SetDefaults(&req)
	req.Path, req.Resolve, req.Progress = "/ipfs/bafkqaaa", false, true
	last, events := -1, 0
	for p, err := range n.NamePublish(t.Context(), req) {
		if err != nil {
			t.Fatal(err)
		}
		if !p.Stored || p.Name != n.name.String() || p.Announced < last {
			t.Errorf("event %d: %+v after %d", events, p, last)
		}
		last = p.Announced
		events++
	}
	if last < 15 || events < last {
		t.Errorf("%d events, the last with %d", events, last)
	}
}

// V4 of the peers: two nodes with one key do not take each other's sequence.
func TestIfSequenceOverTheAPI(t *testing.T) {
	n := start(t, newRepo(t), Options{Offline: true})
	var wg sync.WaitGroup
	errs := make([]error, 8)
	if _, err := publish(t, n, rpc.PublishRequest{Path: "/ipfs/bafkqaaa", AllowOffline: true}); err != nil {
		t.Fatal(err)
	}
	zero := uint64(0)
	cids := make([]string, len(errs))
	for i := range cids {
		cids[i] = add(t, n, fmt.Sprint(i))
	}
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = publish(t, n, rpc.PublishRequest{Path: cids[i], AllowOffline: true, IfSequence: &zero})
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
	if got := resolve(t, n, n.name.String(), false); got != "/ipfs/"+cids[won] {
		t.Errorf("the name means %s, want %s", got, cids[won])
	}
}

// Another node's records of a name that is held here enter the Book; the others
// do not.
func TestHeard(t *testing.T) {
	n := start(t, newRepo(t), Options{Offline: true})
	if _, err := publish(t, n, rpc.PublishRequest{Path: "/ipfs/bafkqaaa", AllowOffline: true}); err != nil {
		t.Fatal(err)
	}
	stranger, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []ipns.Signer{ipns.NewSigner(n.priv), ipns.NewSigner(stranger)} {
		rec, err := ipns.Sign(t.Context(), key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 7, EOL: time.Now().Add(time.Hour)}, ipns.V1V2)
		if err != nil {
			t.Fatal(err)
		}
		n.heard(rec.Name(), rec.Raw())
	}
	n.heard(n.name, []byte("garbage"))
	var e uint64
	for range 100 {
		if got, err := n.book.Get(t.Context(), n.name); err == nil {
			if e = got.Record.Sequence(); e == 7 {
				break
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	if e != 7 {
		t.Errorf("own name: sequence %d, want 7", e)
	}
	s, err := n.NameStatus(t.Context(), rpc.StatusRequest{})
	if err != nil || len(s.Names) != 1 {
		t.Errorf("names: %+v, %v", s.Names, err)
	}
}

// What cannot work is refused with the config key that is wrong, and everything
// is closed again.
func TestBadConfig(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strings.TrimPrefix(taken.Addr().String(), "127.0.0.1:")
	for _, c := range []struct {
		key   string
		value any
		err   string
	}{
		{"Swarm.AddrFilters", []any{"10.0.0.0/8"}, "config Swarm.AddrFilters"},
		{"Addresses.Announce", []any{"nope"}, "config Addresses.Announce"},
		{"Addresses.NoAnnounce", []any{"nope"}, "config Addresses.NoAnnounce"},
		{"Addresses.API", "nope", "config Addresses.API"},
		{"Addresses.API", "/ip4/127.0.0.1/tcp/" + port, "cannot listen on /ip4/127.0.0.1/tcp/" + port + ": address already in use"},
		{"Addresses.Swarm", []any{"/ip4/127.0.0.1/tcp/" + port}, "the port is taken"},
		{"Bootstrap", []any{"/ip4/127.0.0.1/tcp/1"}, "bootstrap"},
	} {
		r := newRepo(t)
		if _, err := r.Set(c.key, c.value); err != nil {
			t.Fatal(err)
		}
		n, err := New(t.Context(), r, Options{})
		if err == nil {
			_, err = n.Serve()
			if cerr := n.Close(); cerr != nil {
				t.Errorf("%s: close: %v", c.key, cerr)
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s = %v: %v, want %s", c.key, c.value, err, c.err)
		}
		// With the value corrected the same repo works.
		if _, err := r.Set(c.key, nil); err != nil {
			t.Fatal(err)
		}
		n, err = New(t.Context(), r, Options{Offline: true})
		if err != nil {
			t.Fatalf("after %s: %v", c.key, err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A second node on a repo whose lock was not asked for does no harm.
func TestTwoNodesOneDatabase(t *testing.T) {
	r := newRepo(t)
	start(t, r, Options{Offline: true})
	n, err := New(t.Context(), r, Options{Offline: true})
	if err == nil {
		n.Close()
		t.Fatal("two nodes on one database")
	}
	if !strings.Contains(err.Error(), "open the database") {
		t.Error(err)
	}
}

// A publish in the first moments waits for the network, one without a network
// does not.
func TestWaitForPeers(t *testing.T) {
	alone := start(t, newRepo(t), Options{})
	begin := time.Now()
	if alone.waitForPeers(t.Context()) || time.Since(begin) > time.Second {
		t.Errorf("a node that knows nobody waited %v", time.Since(begin))
	}
	nw := servers(t, 2)
	n := start(t, newRepo(t), Options{Bootstrap: nw.Addrs()})
	if !n.waitForPeers(t.Context()) {
		t.Error("the node did not join")
	}
	lost := start(t, newRepo(t), Options{Bootstrap: []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS"}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if lost.waitForPeers(ctx) {
		t.Error("there is nobody at port 1")
	}
}
