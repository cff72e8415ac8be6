package host

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/routing/dht"
)

// fakeNetwork is joined by every dial while it is up.
type fakeNetwork struct {
	name            string
	up, in          atomic.Bool
	tries, rejoined atomic.Int64
}

func (f *fakeNetwork) Network() string        { return f.name }
func (f *fakeNetwork) Joined() bool           { return f.up.Load() && f.in.Load() }
func (f *fakeNetwork) Rejoined()              { f.rejoined.Add(1) }
func (f *fakeNetwork) Rejoin(context.Context) { f.tries.Add(1); f.in.Store(f.up.Load()) }

// fall takes the network down; every node on it loses it.
func (f *fakeNetwork) fall() { f.up.Store(false); f.in.Store(false) }

// startJoiner starts a joiner for two networks, which runs until the test ends.
func startJoiner(t *testing.T, expected string) (wan, lan *fakeNetwork, dials *atomic.Int64) {
	return startJoinerCut(t, expected, func() bool { return false })
}

// startJoinerCut is startJoiner with a function cut, which reports whether no bootstrap
// peer is connected.
func startJoinerCut(t *testing.T, expected string, cut func() bool) (wan, lan *fakeNetwork, dials *atomic.Int64) {
	wan, lan, dials = &fakeNetwork{name: dht.WAN}, &fakeNetwork{name: dht.LAN}, new(atomic.Int64)
	j := joiner{
		wan: link{joinable: wan}, lan: link{joinable: lan},
		expected: func() string { return expected }, looked: func() {}, cut: cut,
		// A dial to an unreachable network takes time.
		bootstrap: func(ctx context.Context) {
			dials.Add(1)
			if wan.in.Store(wan.up.Load()); !wan.up.Load() {
				time.Sleep(joinRound)
			}
		},
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { j.run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return wan, lan, dials
}

// A lost network is joined again within a minute of its return, however long it was away,
// and whether or not the other one is up.
func TestEachLostNetworkIsJoinedAgain(t *testing.T) {
	for _, away := range []time.Duration{30 * time.Second, 10 * time.Minute, 5 * time.Hour} {
		for _, other := range []bool{false, true} {
			for _, lost := range []string{dht.WAN, dht.LAN} {
				synctest.Test(t, func(t *testing.T) {
					wan, lan, _ := startJoiner(t, dht.WAN)
					one, two := wan, lan
					if lost == dht.LAN {
						one, two = lan, wan
					}
					one.up.Store(true)
					two.up.Store(other)
					time.Sleep(time.Minute)
					if !one.Joined() || two.Joined() != other {
						t.Fatal("not joined at first")
					}
					one.fall()
					time.Sleep(away)
					one.up.Store(true)
					before := one.rejoined.Load()
					time.Sleep(time.Minute)
					if !one.Joined() {
						t.Errorf("%s is not joined a minute after it was away for %v; the other one is there: %v", lost, away, other)
					}
					if one.rejoined.Load() != before+1 {
						t.Errorf("told %d times that it is back", one.rejoined.Load()-before)
					}
				})
			}
		}
	}
}

// A network that never existed, but is expected, is also joined within a minute.
func TestAnExpectedNetworkIsJoinedWhenItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wan, lan, _ := startJoiner(t, dht.WAN)
		lan.up.Store(true)
		time.Sleep(3 * time.Hour)
		wan.up.Store(true)
		time.Sleep(time.Minute)
		if !wan.Joined() {
			t.Error("not joined a minute after it came")
		}
	})
}

// A remaining neighbour does not stop the bootstrap peers of a LAN from being dialled.
func TestTheBootstrapPeersOfALANAreDialledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut atomic.Bool
		_, lan, dials := startJoinerCut(t, dht.LAN, cut.Load)
		lan.up.Store(true)
		time.Sleep(5 * time.Hour)
		before := dials.Load()
		cut.Store(true)
		time.Sleep(time.Minute)
		if n := dials.Load() - before; n < 2 || !lan.Joined() {
			t.Errorf("dialled %d times in the minute after they were lost", n)
		}
	})
}

// A network that need not exist is rarely dialled.
func TestANetworkThatNobodyExpectsIsTriedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wan, lan, dials := startJoiner(t, dht.LAN)
		lan.up.Store(true)
		time.Sleep(24 * time.Hour)
		if n := dials.Load(); n > 24*6+10 {
			t.Errorf("bootstrap peers were dialled %d times in a day", n)
		}
		if n := wan.tries.Load(); n > 24*6+10 {
			t.Errorf("the WAN was tried %d times in a day", n)
		}
	})
}

// The node remembers across restarts that the public network has answered, until the
// bootstrap peers are removed.
func TestTheWANIsExpectedAfterARestart(t *testing.T) {
	r := newRepo(t)
	run := func(f func(*Network)) {
		n := start(t, r)
		f(n)
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want string) {
		t.Helper()
		run(func(n *Network) {
			if got := n.Expected(); got != want {
				t.Errorf("%q is expected, want %q", got, want)
			}
		})
	}
	expect("")
	run(func(n *Network) { n.noteAnswered(time.Now().Add(-31 * 24 * time.Hour)) })
	expect("")
	run(func(n *Network) { n.noteAnswered(time.Now()) })
	expect(dht.WAN)
	expect(dht.WAN) // being away clears nothing
	run(func(n *Network) {
		if _, err := n.RemoveBootstrap(nil, true); err != nil {
			t.Fatal(err)
		}
		if got := n.Expected(); got != "" {
			t.Errorf("%q is expected after all bootstrap peers are removed", got)
		}
	})
	expect("")
}
