package reach

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Limits of watching.
const (
	lookEvery  = 5 * time.Second  // for a change that has no event
	askTimeout = 10 * time.Second // for a relay to say which limits it has
	askAgain   = 10 * time.Minute // since its owner may have changed them
	events     = 256              // that may wait; the host waits with more, so run never waits for others
	// udpAfter is after how long, without an answer by UDP, enough answers by TCP mean that
	// UDP is blocked.
	udpAfter = 30 * time.Second
)

// Options are what the config says.
type Options struct {
	Relays     []peer.AddrInfo // of Swarm.RelayClient.StaticRelays
	NoPunching bool            // hole punching is off
}

// Watcher follows what is known of how others reach a host.
type Watcher struct {
	host    host.Host
	options Options
	began   time.Time
	changed chan struct{}
	ask     chan peer.ID
	end     context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex // guards all below
	state  network.Reachability
	seen   map[way]seen
	relays map[peer.ID]limits
	last   Verdict
}

// limits are those that a relay tells of, and when it did; an error means that it said
// nothing.
type limits struct {
	at      time.Time
	limited bool
	err     error
}

// Watch follows a host until Close.
func Watch(h host.Host, o Options) (*Watcher, error) {
	sub, err := h.EventBus().Subscribe([]any{
		new(event.EvtLocalReachabilityChanged), new(event.EvtLocalAddressesUpdated), new(event.EvtHostReachableAddrsChanged),
		new(event.EvtPeerIdentificationCompleted),
	}, eventbus.BufSize(events))
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	w := &Watcher{
		host: h, options: o, began: time.Now(), changed: make(chan struct{}, 1), ask: make(chan peer.ID, 1), end: end,
		seen: map[way]seen{}, relays: map[peer.ID]limits{},
	}
	w.last = w.Verdict()
	w.running.Go(func() { w.run(ctx, sub) })
	w.running.Go(func() { w.askRelays(ctx) })
	return w, nil
}

// Close ends watching.
func (w *Watcher) Close() error {
	w.end()
	w.running.Wait()
	return nil
}

// Changed receives a value when the verdict has changed.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

func (w *Watcher) run(ctx context.Context, sub event.Subscription) {
	defer sub.Close()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case e := <-sub.Out():
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				w.see(e.Conn, e.ObservedAddr)
				continue // many come; the ticker looks at all
			case event.EvtLocalReachabilityChanged:
				w.mu.Lock()
				w.state = e.Reachability
				w.mu.Unlock()
			}
		}
		w.look()
	}
}

// look asks relays that are new, and tells of a change.
func (w *Watcher) look() {
	for _, p := range w.used() {
		w.mu.Lock()
		l, known := w.relays[p]
		w.mu.Unlock()
		if !known || time.Since(l.at) > askAgain || l.err != nil && time.Since(l.at) > askTimeout {
			select {
			case w.ask <- p:
			default: // one is being asked; look comes again
			}
		}
	}
	v := w.Verdict()
	w.mu.Lock()
	news := v != w.last
	w.last = v
	w.mu.Unlock()
	if news {
		select {
		case w.changed <- struct{}{}:
		default: // the last one has not been received yet
		}
	}
}

// used are the relays of the config over which the host says it is reached.
func (w *Watcher) used() (ids []peer.ID) {
	for _, r := range w.options.Relays {
		if slices.ContainsFunc(w.host.Addrs(), func(a ma.Multiaddr) bool { return relayed(a) && relayOf(a) == r.ID }) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

func relayOf(a ma.Multiaddr) peer.ID {
	before, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT })
	_, id := peer.SplitAddr(before)
	return id
}

// askRelays finds out which limits relays have: each tells it with a reservation, which the
// host has and so only renews.
func (w *Watcher) askRelays(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-w.ask:
			within, cancel := context.WithTimeout(ctx, askTimeout)
			place, err := client.Reserve(within, w.host, peer.AddrInfo{ID: p})
			cancel()
			l := limits{at: time.Now(), err: err}
			if err == nil {
				l.limited = place.LimitData != 0 || place.LimitDuration != 0
			}
			w.mu.Lock()
			w.relays[p] = l
			w.mu.Unlock()
			w.look()
		}
	}
}

// see notes what a peer sees of a connection that this node has opened from the port that
// it listens on: other ports say nothing about how that one is translated.
func (w *Watcher) see(c network.Conn, observed ma.Multiaddr) {
	if c == nil || observed == nil || c.Stat().Direction != network.DirOutbound || !manet.IsPublicAddr(c.RemoteMultiaddr()) {
		return
	}
	inside, by, ok1 := endpoint(c.LocalMultiaddr())
	outside, outBy, ok2 := endpoint(observed)
	who, _, ok3 := endpoint(c.RemoteMultiaddr())
	if !ok1 || !ok2 || !ok3 || by != outBy || !w.listens(inside.Port(), by) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[by] = w.seen[by].add(sighting{by: who.Addr(), inside: inside, outside: outside})
}

func (w *Watcher) listens(port uint16, by way) bool {
	return slices.ContainsFunc(w.host.Network().ListenAddresses(), func(a ma.Multiaddr) bool {
		at, of, ok := endpoint(a)
		return ok && of == by && at.Port() == port
	})
}

// usesUDP reports whether the host opens connections over UDP, from a port that it listens
// on: by QUIC alone.
func (w *Watcher) usesUDP() bool {
	return slices.ContainsFunc(w.host.Network().ListenAddresses(), func(a ma.Multiaddr) bool {
		_, err := a.ValueForProtocol(ma.P_QUIC_V1)
		return err == nil
	})
}

// kind is what routers do with UDP or TCP over IPv4, over which nearly all are behind one,
// else over IPv6. The caller holds mu.
func (w *Watcher) kind(udp bool) NAT {
	return cmp.Or(w.seen[way{udp, false}].kind(), w.seen[way{udp, true}].kind())
}

// Verdict is what is known now.
func (w *Watcher) Verdict() Verdict {
	f := Facts{Addrs: w.host.Addrs(), NoPunching: w.options.NoPunching, Configured: len(w.options.Relays) > 0}
	if h, ok := w.host.(interface {
		ConfirmedAddrs() (reachable, unreachable, unknown []ma.Multiaddr)
	}); ok {
		f.Reachable, f.Unreachable, _ = h.ConfirmedAddrs()
		f.Unreachable = slices.DeleteFunc(f.Unreachable, func(a ma.Multiaddr) bool { return !manet.IsPublicAddr(a) })
	}
	used := w.used()
	w.mu.Lock()
	defer w.mu.Unlock()
	f.State, f.UDP, f.TCP = w.state, w.kind(true), w.kind(false)
	if len(w.seen[way{true, false}])+len(w.seen[way{true, true}]) == 0 && f.TCP != Unknown && w.usesUDP() && time.Since(w.began) > udpAfter {
		f.UDP = Blocked
	}
	// One relay without limits is enough.
	for _, p := range used {
		if l, asked := w.relays[p]; asked && l.err == nil {
			f.Limited = l.limited && (f.Limited || !f.OwnRelay)
			f.OwnRelay = true
		}
	}
	return Judge(f)
}
