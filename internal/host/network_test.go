package host

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/routing"
)

// newRepo makes a repo with the profile test.
func newRepo(t *testing.T) repo.Repo {
	t.Helper()
	c := repo.NewConfig(repo.Identity{})
	if err := c.Apply("test"); err != nil {
		t.Fatal(err)
	}
	r := repo.Repo(filepath.Join(t.TempDir(), "repo"))
	if err := r.Create(c); err != nil {
		t.Fatal(err)
	}
	return r
}

// start opens the network of a repo and runs it until the test ends.
func start(t *testing.T, r repo.Repo, bootstrap ...string) *Network {
	t.Helper()
	c, err := r.Config()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := New(r, slog.New(slog.DiscardHandler))
	err = n.Open(t.Context(), &c, Options{
		Key: key, Agent: "test", Bootstrap: bootstrap,
		Store:    dssync.MutexWrap(datastore.NewMapDatastore()),
		Scarce:   func() bool { return false },
		Received: func(*ipns.Record) {},
		Older:    func(context.Context, *ipns.Record) bool { return false },
		Opener:   new(routing.Opener),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { _ = n.Run(ctx); close(ended) }()
	t.Cleanup(func() {
		stop()
		<-ended
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// A publish in the first moments waits for the network; one on a node without a network
// does not.
func TestANodeWaitsForTheNetworkThatItIsToJoin(t *testing.T) {
	alone := start(t, newRepo(t))
	begin := time.Now()
	if alone.waitForPeers(t.Context()) || time.Since(begin) >= joinTimeout {
		t.Errorf("a node without a network waited %v", time.Since(begin))
	}
	nw := testnet.ForTest(t, 2)
	n := start(t, newRepo(t), nw.Addrs()...)
	if !n.waitForPeers(t.Context()) {
		t.Error("the node did not join")
	}
	lost := start(t, newRepo(t), "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if lost.waitForPeers(ctx) {
		t.Error("joined without any server")
	}
}

// A restarted node knows the servers of its last run.
func TestServersAreRememberedAfterARestart(t *testing.T) {
	nw := testnet.ForTest(t, 25)
	r := newRepo(t)
	n := start(t, r, nw.Addrs()[0])
	name, err := ipns.ParseName(nw.Server(0).ID().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range n.Router().Search(t.Context(), name) {
		if err != nil {
			t.Fatal(err)
		}
	}
	known := n.DHT.LAN.Map().Len()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, r)
	if got := again.DHT.LAN.Map().Len(); known == 0 || got < known/2 {
		t.Fatalf("%d servers are known after a restart, %d were before", got, known)
	}
}
