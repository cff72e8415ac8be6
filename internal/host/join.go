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
	joinAtOnce  = 8                // bootstrap peers dialled at once
	joinTimeout = 10 * time.Second // for one peer, and for a publish to wait
	joinRound   = 15 * time.Second // for all peers
	joinCheck   = 5 * time.Second  // between two checks whether a network is lost
	joinAgain   = 20 * time.Second // between two attempts to join a lost network
	joinSlowest = 10 * time.Minute // and one that may not exist
	joinLong    = 6 * time.Hour    // after which a lost network that is not expected counts as one that may not exist
)

// joinable is a network that can be joined: a [dht.Router].
type joinable interface {
	Network() string
	Joined() bool
	Rejoin(context.Context)
	Rejoined()
}

// link is this node's connection to one network.
type link struct {
	joinable
	begun  bool      // checked at least once
	joined bool      // was joined at least once
	lost   time.Time // when it was lost; zero: it is joined
	next   time.Time // when to try again
	wait   time.Duration
}

// look checks whether the network is joined.
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

// due reports whether it is time to try to join, and schedules the next try.
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

// joiner joins the networks, and joins one again when it is lost. The DHTs do the rest.
type joiner struct {
	wan, lan  link
	next      time.Time             // when to dial the bootstrap peers of a LAN again
	expected  func() string         // the network that should have servers
	bootstrap func(context.Context) // dials the bootstrap peers
	cut       func() bool           // reports whether none of them is connected
	looked    func()                // called after each round
	again     <-chan struct{}       // has an element when the bootstrap peers were changed
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
	// On a LAN, a remaining neighbour may be all that is left of a network: the bootstrap
	// peers keep a LAN together. The WAN does without them once it is joined.
	dial := needed == dht.LAN && !now.Before(j.next) && j.cut()
	for _, l := range []*link{&j.wan, &j.lan} {
		l.look(time.Now())
		if l.due(time.Now(), l.Network() == needed) {
			// Bootstrap peers are assumed to serve the WAN, unless they turned out to
			// serve only the LAN.
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

// dialBootstrap dials the bootstrap peers, in random order: one round may be too short
// for very many.
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
	_ = g.Wait() // failures are logged above
}

const (
	joinLook = 250 * time.Millisecond // how often to check whether a network is joined
	joinLost = 5 * time.Second        // how long a network must be lost to count as joined again
)

// tellJoined signals each time that a network was joined of which the node knew no server
// before.
func (n *Network) tellJoined(ctx context.Context, joined chan<- struct{}) {
	look := time.NewTicker(joinLook)
	defer look.Stop()
	last := make([]time.Time, 2) // when each was last seen joined
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
			default: // the last signal has not been received yet
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}
