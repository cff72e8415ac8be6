package host

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns/routing/dht"
)

// Limits of joining the networks.
const (
	joinAtOnce  = 8                // bootstrap peers that are dialled at once
	joinTimeout = 10 * time.Second // for one of them, and for a publish to wait
	joinRound   = 15 * time.Second // for all of them
	joinCheck   = 5 * time.Second  // between two looks at whether a network is lost
	joinAgain   = 20 * time.Second // between two tries to join one that was lost
	joinSlowest = 10 * time.Minute // and one that may never have been there
	joinLong    = 6 * time.Hour    // after which a lost network that is not expected is one
)

// joinable is a network as one joins it: a [dht.Router].
type joinable interface {
	Network() string
	Joined() bool
	Rejoin(context.Context)
	Rejoined()
}

// link is this node's way into one network.
type link struct {
	joinable
	begun  bool      // the first look was made
	joined bool      // it was joined at some time
	lost   time.Time // since when it is not; zero: it is
	next   time.Time // when to try again
	wait   time.Duration
}

// look notes whether the network is there.
func (l *link) look(now time.Time) {
	switch there := l.Joined(); {
	case there && (!l.begun || !l.lost.IsZero()):
		l.joined, l.lost, l.wait, l.next = true, time.Time{}, 0, time.Time{}
		l.Rejoined()
	case !there && (!l.begun || l.lost.IsZero()):
		l.lost = now
	}
	l.begun = true
}

// due reports whether it is time to try to join, and then counts that as done.
func (l *link) due(now time.Time, needed bool) bool {
	if l.lost.IsZero() || now.Before(l.next) {
		return false
	}
	l.wait = min(max(2*l.wait, joinAgain), joinSlowest)
	if needed || l.joined && now.Sub(l.lost) < joinLong {
		l.wait = joinAgain
	}
	l.next = now.Add(l.wait)
	return true
}

// joiner joins each of the networks, and does so again when it was lost. The DHTs do
// the rest.
type joiner struct {
	wan, lan  link
	next      time.Time             // when the bootstrap peers of a LAN are dialled again
	expected  func() string         // the network that should have servers
	bootstrap func(context.Context) // dials the bootstrap peers
	cut       func() bool           // whether none of them is connected
	looked    func()                // after each round
	again     <-chan struct{}       // has an element when there are other bootstrap peers
}

func (n *Network) join(ctx context.Context) {
	j := joiner{
		wan: link{joinable: n.DHT.WAN}, lan: link{joinable: n.DHT.LAN},
		expected: n.Expected, bootstrap: n.dialBootstrap, cut: func() bool { return n.boot.cut(n.Host) }, again: n.boot.changed,
		looked: func() { n.boot.look(n); n.noteAnswered(n.DHT.WAN.Answered()) },
	}
	j.run(ctx)
}

func (j *joiner) run(ctx context.Context) {
	for {
		j.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-j.again:
			j.wan.next, j.lan.next = time.Time{}, time.Time{}
		case <-time.After(joinCheck):
		}
	}
}

func (j *joiner) round(ctx context.Context) {
	var dials sync.WaitGroup
	needed := j.expected()
	now := time.Now()
	// On a LAN a neighbour may be left of a network that is gone: who keeps it together
	// are the bootstrap peers. The WAN does without them once it is joined.
	dial := needed == dht.LAN && !now.Before(j.next) && j.cut()
	for _, l := range []*link{&j.wan, &j.lan} {
		l.look(time.Now())
		if l.due(time.Now(), l.Network() == needed) {
			// Bootstrap peers are there for the WAN, unless they have turned out to serve
			// the LAN alone.
			dial = dial || l == &j.wan || l.Network() == needed
			dials.Go(func() { l.Rejoin(ctx) })
		}
	}
	if dial {
		j.next = now.Add(joinAgain)
		dials.Go(func() { j.bootstrap(ctx) })
	}
	dials.Wait()
	j.looked()
	j.wan.look(time.Now())
	j.lan.look(time.Now())
}

// dialBootstrap dials the bootstrap peers, in another order each time: of very many,
// one round does not come to all.
func (n *Network) dialBootstrap(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, joinRound)
	defer cancel()
	peers := n.boot.list()
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	var g errgroup.Group
	g.SetLimit(joinAtOnce)
	for _, p := range peers {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, joinTimeout)
			defer cancel()
			if err := n.DHT.WAN.Dial(ctx, p); err != nil {
				n.log.Info("bootstrap peer not reached", "peer", p.ID, "err", err)
				return nil
			}
			n.Settle(ctx, p.ID)
			n.boot.look(n)
			return nil
		})
	}
	_ = g.Wait() // who was not reached is in the log
}

const (
	joinLook = 250 * time.Millisecond // how often it is looked whether a network is joined
	joinLost = 5 * time.Second        // for how long it was not, to be joined again
)

// tellJoined tells the republisher each time that a network was joined of which the
// node had nobody.
func (n *Network) tellJoined(ctx context.Context, joined chan<- struct{}) {
	look := time.NewTicker(joinLook)
	defer look.Stop()
	last := make([]time.Time, 2) // when each was seen to be joined
	for {
		now, news := time.Now(), false
		for i, r := range []*dht.Router{n.DHT.LAN, n.DHT.WAN} {
			if r.Joined() {
				news = news || now.Sub(last[i]) > joinLost
				last[i] = now
			}
		}
		if news {
			select {
			case joined <- struct{}{}:
			default: // it has not looked since it was told last
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}
