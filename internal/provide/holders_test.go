package provide

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"

	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/simnet"
	"github.com/goipns/ipns/routing/dht"
)

// Announcements of many keys, by the sweep, reach the servers closest to each. Without
// nearest, they reach 13.1 of 20.
func TestSweepReachesTheClosestServers(t *testing.T) {
	for profile, want := range map[simnet.Profile]float64{simnet.Ideal: 20, simnet.Real15: 19.9} {
		t.Run(profile.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testHolders(t, profile, want) })
		})
	}
}

func testHolders(t *testing.T, profile simnet.Profile, want float64) {
	servers, many := 2000, 1000
	if testing.Short() {
		servers, many = 600, 300
	}
	net := simnet.New(simnet.Config{Servers: servers, Profile: profile, Seed: 1})
	defer net.Close()
	h, err := net.NewHost("client")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range net.Bootstrap(6) {
		if err := h.Connect(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	d, err := dht.New(h, dht.Config{Mode: kaddht.ModeClient, Bootstrap: func() []peer.AddrInfo { return net.Bootstrap(6) }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 3 {
		time.Sleep(time.Second)
		<-d.Dual.WAN.ForceRefresh()
	}
	mean := func(keys []mh.Multihash) float64 {
		sum := 0
		for _, k := range keys {
			sum += net.Providing(k, h.ID())
		}
		return float64(sum) / float64(len(keys))
	}
	keys := func(what string, n int) (list []mh.Multihash) {
		for i := range n {
			list = append(list, key(t, fmt.Sprint(what, i)))
		}
		return list
	}
	p, err := Open(&repo.Config{}, Options{DHT: d, Store: dssync.MutexWrap(datastore.NewMapDatastore()), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	time.Sleep(time.Minute) // until it knows the size of the network
	list := keys("many", many)
	before := net.Stats(h)
	if err := p.StartProviding(true, list...); err != nil {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Minute)
	if got := mean(list); got < want {
		t.Errorf("sweep: at %.2f of the closest 20, want %.2f", got, want)
	} else {
		t.Logf("sweep: at %.2f; %+v", got, net.Stats(h).Sub(before))
	}
}

// wire is a network on which some servers fail.
type wire struct {
	pb.MessageSender
	fail map[peer.ID]bool
	took map[peer.ID]int
	all  []peer.ID
	hang peer.ID
}

var errGone = errors.New("gone")

func (w *wire) SendMessage(ctx context.Context, p peer.ID, _ *pb.Message) error {
	if w.hang == p {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if w.fail[p] {
		return errGone
	}
	w.took[p]++
	return nil
}

func (w *wire) Closest(context.Context, []byte) ([]peer.ID, error) { return w.all, nil }

// Each key goes to the closest servers once, in place of those that fail to the next ones,
// and nothing is remembered of it then.
func TestNextServerReplacesOneThatFails(t *testing.T) {
	w := &wire{fail: map[peer.ID]bool{}, took: map[peer.ID]int{}}
	for i := range 100 {
		w.all = append(w.all, peer.ID(fmt.Sprint("server ", i)))
	}
	n := &nearest{MessageSender: w, dht: w}
	if _, err := n.GetClosestPeers(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	k := key(t, "key")
	near := n.closest(keyspace.KeyOf(k), time.Now())
	w.fail[near[0]], w.fail[near[7]] = true, true
	for i := range replicas {
		// The sweep names any servers.
		if err := n.SendMessage(t.Context(), w.all[i], pb.NewMessage(pb.Message_ADD_PROVIDER, k, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range near {
		want := 1
		if w.fail[p] || i >= replicas+2 {
			want = 0
		}
		if w.took[p] != want {
			t.Errorf("server %d took it %d times", i, w.took[p])
		}
	}
	if len(n.sending) != 0 || len(w.took) != replicas {
		t.Errorf("%d keys are remembered, %d servers took it", len(n.sending), len(w.took))
	}
	// Who failed is passed over for a while.
	w.fail = map[peer.ID]bool{}
	again := key(t, "again")
	n.sending = map[string]*allocation{string(again): {to: near[:1], at: time.Now()}}
	if to, ok := n.target(string(again)); ok {
		t.Errorf("%s is asked again", to)
	}
	// Other messages go where they are to go.
	if err := n.SendMessage(t.Context(), w.all[99], pb.NewMessage(pb.Message_PING, nil, 0)); err != nil || w.took[w.all[99]] == 0 {
		t.Errorf("a ping: %v", err)
	}
}

// A key that was not sent as often as it should be begins anew the next time, and a server
// that took all the time has failed.
func TestKeyThatWasGivenUpBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{took: map[peer.ID]int{}}
		for i := range 100 {
			w.all = append(w.all, peer.ID(fmt.Sprint("server ", i)))
		}
		n := &nearest{MessageSender: w, dht: w}
		k := key(t, "key")
		send := func(ctx context.Context) error {
			return n.SendMessage(ctx, w.all[0], pb.NewMessage(pb.Message_ADD_PROVIDER, k, 0))
		}
		find := func() peer.ID {
			if _, err := n.GetClosestPeers(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			return n.closest(keyspace.KeyOf(k), time.Now())[0]
		}
		near := find()
		for range 2 { // the second round is that of the next sweep
			for range replicas - 1 {
				if err := send(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(sendingStays + 1)
			find()
		}
		if w.took[near] != 2 || len(w.took) != replicas-1 {
			t.Errorf("the closest server took it %d times, and %d took it at all", w.took[near], len(w.took))
		}
		w.hang = near
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.Sleep(sendingStays + 1)
		find()
		if err := send(ctx); err == nil || n.failed[near].IsZero() {
			t.Errorf("a server that hangs: %v", err)
		}
		stopped, stop := context.WithCancel(t.Context())
		stop()
		n.failed, n.sending = nil, nil
		if err := send(stopped); err == nil || len(n.failed) > 0 {
			t.Errorf("stopped: %v, %v", err, n.failed)
		}
	})
}

// What a server is remembered for is bounded.
func TestServersThatAreRememberedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		n := &nearest{MessageSender: w, dht: w}
		for i := range maxServers {
			w.all = append(w.all, peer.ID(fmt.Sprint(i)))
		}
		find := func() {
			if _, err := n.GetClosestPeers(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
		}
		find()
		find()
		if len(n.servers) != maxServers {
			t.Fatalf("%d servers", len(n.servers))
		}
		time.Sleep(serverStays + 1)
		w.all = []peer.ID{"new"}
		find()
		if len(n.servers) != 1 {
			t.Errorf("%d servers are known after they are old", len(n.servers))
		}
		for i := range maxServers + 1 {
			n.fails(peer.ID(fmt.Sprint(i)))
		}
		for i := range maxSending + 1 {
			n.target(fmt.Sprint(i))
		}
		if len(n.failed) > maxServers || len(n.sending) > maxSending {
			t.Errorf("%d servers that failed and %d keys are remembered", len(n.failed), len(n.sending))
		}
	})
}
