package simnet

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"
)

// Errors of a dial.
var (
	errDial    = errors.New("simnet: peer did not answer the dial")
	errBackoff = errors.New("simnet: dial failed a moment ago")
	errNoDial  = errors.New("simnet: not connected, and told not to dial")
	errNoAddr  = errors.New("simnet: no address of the peer is known")
	errClosed  = errors.New("simnet: host is closed")
)

// What a dial costs besides time: a QUIC handshake and identify, roughly.
const (
	dialBytesUp   = 3500
	dialBytesDown = 4500
)

// simHost is a host.Host whose peers are the servers of a Network.
// Hosts cannot reach each other.
type simHost struct {
	net   *Network
	id    peer.ID
	addr  ma.Multiaddr
	slot  uint32
	store peerstore.Peerstore
	bus   event.Bus
	mux   *multistream.MultistreamMuxer[protocol.ID]
	swarm *simSwarm
	conns *connManager
	count counters

	connected, identified event.Emitter

	mu        sync.Mutex
	closed    bool
	open      map[peer.ID]*conn
	dials     map[peer.ID]*dial
	backoff   *dialBackoff
	notifiees []network.Notifiee
	lastConn  uint64
}

// NewHost attaches a host to the network. Its key is derived from the network's seed and
// the name. The caller closes it; Network.Close closes all.
func (n *Network) NewHost(name string) (host.Host, error) {
	seed := make([]byte, 0, ed25519.SeedSize)
	for r := n.random("host"+name, 0); len(seed) < ed25519.SeedSize; {
		seed = binary.BigEndian.AppendUint64(seed, r.Uint64())
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return nil, fmt.Errorf("making a host key: %w", err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("making a host id: %w", err)
	}
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, fmt.Errorf("making a peerstore: %w", err)
	}
	if err := errors.Join(store.AddPrivKey(id, key), store.AddPubKey(id, key.GetPublic())); err != nil {
		return nil, fmt.Errorf("storing the host key: %w", err)
	}
	h := &simHost{
		net: n, id: id, store: store,
		bus:     eventbus.NewBus(),
		mux:     multistream.NewMultistreamMuxer[protocol.ID](),
		open:    map[peer.ID]*conn{},
		dials:   map[peer.ID]*dial{},
		backoff: newDialBackoff(),
	}
	h.swarm = &simSwarm{h}
	n.mu.Lock()
	h.slot = n.born
	n.born++
	n.hosts = append(n.hosts, h)
	n.mu.Unlock()
	h.addr = address(h.slot)
	if h.connected, err = h.bus.Emitter(new(event.EvtPeerConnectednessChanged)); err != nil {
		return nil, fmt.Errorf("preparing events: %w", err)
	}
	if h.identified, err = h.bus.Emitter(new(event.EvtPeerIdentificationCompleted)); err != nil {
		return nil, fmt.Errorf("preparing events: %w", err)
	}
	h.conns = newConnManager(h)
	return h, nil
}

func (h *simHost) ID() peer.ID                      { return h.id }
func (h *simHost) Peerstore() peerstore.Peerstore   { return h.store }
func (h *simHost) Addrs() []ma.Multiaddr            { return []ma.Multiaddr{h.addr} }
func (h *simHost) Network() network.Network         { return h.swarm }
func (h *simHost) Mux() protocol.Switch             { return h.mux }
func (h *simHost) ConnManager() connmgr.ConnManager { return h.conns }
func (h *simHost) EventBus() event.Bus              { return h.bus }

// No one dials a simHost, so its handlers are only stored.
func (h *simHost) SetStreamHandler(p protocol.ID, f network.StreamHandler) {
	h.SetStreamHandlerMatch(p, func(q protocol.ID) bool { return p == q }, f)
}

func (h *simHost) SetStreamHandlerMatch(p protocol.ID, match func(protocol.ID) bool, _ network.StreamHandler) {
	h.mux.AddHandlerWithFunc(p, match, nil)
}

func (h *simHost) RemoveStreamHandler(p protocol.ID) { h.mux.RemoveHandler(p) }

// Connect dials and waits for identify: two round trips.
func (h *simHost) Connect(ctx context.Context, to peer.AddrInfo) error {
	h.store.AddAddrs(to.ID, to.Addrs, peerstore.TempAddrTTL)
	c, err := h.dial(ctx, to.ID)
	if err != nil {
		return err
	}
	return c.awaitIdentify(ctx)
}

// NewStream opens a stream. The protocol is negotiated together with the first
// request, as go-libp2p does with a peer whose protocols it knows from identify.
func (h *simHost) NewStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	c, err := h.dial(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := c.awaitIdentify(ctx); err != nil {
		return nil, err
	}
	if !slices.Contains(protocols, Protocol) {
		return nil, fmt.Errorf("failed to open stream to %s: protocols %v not supported", p, protocols)
	}
	return c.newStream(Protocol)
}

// Close ends all connections and what the host runs. It may be called twice.
func (h *simHost) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	for _, d := range h.dials {
		d.timer.Stop()
		d.finish(nil, errClosed)
	}
	clear(h.dials)
	h.mu.Unlock()
	h.disconnect(h.connections())
	h.net.mu.Lock()
	h.net.hosts = slices.DeleteFunc(h.net.hosts, func(other *simHost) bool { return other == h })
	h.net.mu.Unlock()
	return errors.Join(h.conns.Close(), h.connected.Close(), h.identified.Close(), h.store.Close())
}

// connections lists the open connections by peer id.
func (h *simHost) connections() []*conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*conn, 0, len(h.open))
	for _, c := range h.open {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *conn) int { return strings.Compare(string(a.server.id), string(b.server.id)) })
	return list
}

// dial is one dial attempt, for which any number of callers wait.
type dial struct {
	started time.Time
	timer   *time.Timer
	waiting int           // guarded by simHost.mu
	done    chan struct{} // closed when conn and err are set
	conn    *conn
	err     error
}

func (d *dial) finish(c *conn, err error) {
	d.conn, d.err = c, err
	close(d.done)
}

// dial returns the connection to p and opens one if needed, which takes one round trip.
// An attempt ends early when no caller is left.
func (h *simHost) dial(ctx context.Context, p peer.ID) (*conn, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, errClosed
	}
	if c := h.open[p]; c != nil {
		h.mu.Unlock()
		return c, nil
	}
	d := h.dials[p]
	if d == nil {
		if err := h.mayDial(ctx, p); err != nil {
			h.mu.Unlock()
			return nil, err
		}
		d = h.startDial(p)
	}
	d.waiting++
	h.mu.Unlock()

	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.waiting--; d.waiting == 0 && h.dials[p] == d && d.timer.Stop() {
		delete(h.dials, p)
		if d.started.Equal(time.Now()) {
			h.count.dials.Add(-1) // cancelled before it was sent, see stream.recall
		}
		d.finish(nil, ctx.Err())
	}
	return nil, ctx.Err()
}

// mayDial returns why p must not be dialled now; nil if it may. The caller holds h.mu.
func (h *simHost) mayDial(ctx context.Context, p peer.ID) error {
	if p == h.id {
		return errors.New("simnet: dial to self attempted")
	}
	if no, _ := network.GetNoDial(ctx); no {
		return errNoDial
	}
	if len(h.store.Addrs(p)) == 0 {
		return errNoAddr
	}
	if h.backoff.refuses(p) {
		return errBackoff
	}
	return ctx.Err()
}

// startDial starts an attempt. The caller holds h.mu.
func (h *simHost) startDial(p peer.ID) *dial {
	d := &dial{started: time.Now(), done: make(chan struct{})}
	h.dials[p] = d
	h.count.dials.Add(1)
	s := h.net.lookup(p)
	if s == nil || s.unreachable() {
		slot := h.net.slotOf(p)
		d.timer = h.net.after(slot, dialLane, h.net.profile.dialTimeout(), func() { h.dialFailed(p, d) })
		return d
	}
	d.timer = h.net.after(s.slot, dialLane, s.roundTrip(), func() { h.dialled(s, d) })
	return d
}

func (h *simHost) dialFailed(p peer.ID, d *dial) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dials[p] != d {
		return
	}
	delete(h.dials, p)
	h.count.failedDials.Add(1)
	h.backoff.failed(p)
	d.finish(nil, errDial)
}

func (h *simHost) dialled(s *server, d *dial) {
	h.mu.Lock()
	if h.dials[s.id] != d {
		h.mu.Unlock()
		return
	}
	delete(h.dials, s.id)
	h.backoff.connected(s.id)
	h.lastConn++
	c := &conn{host: h, server: s, number: h.lastConn, opened: time.Now(), streams: map[*stream]struct{}{}, identified: make(chan struct{}), gone: make(chan struct{})}
	h.open[s.id] = c
	notifiees := slices.Clone(h.notifiees)
	h.mu.Unlock()
	h.count.bytesUp.Add(dialBytesUp)
	h.count.bytesDown.Add(dialBytesDown)
	h.store.AddAddrs(s.id, []ma.Multiaddr{s.addr}, peerstore.ConnectedAddrTTL)
	for _, nf := range notifiees {
		nf.Connected(h.swarm, c)
	}
	h.emit(h.connected, event.EvtPeerConnectednessChanged{Peer: s.id, Connectedness: network.Connected})
	c.setIdentify(h.net.after(s.slot, identifyLane, s.roundTrip(), func() { h.identify(c) }))
	d.finish(c, nil)
}

// identify is the second round trip of a connection. The event for the host's services
// comes a moment after the callers of Connect return; at the same instant, it would be
// random which of them sends first.
func (h *simHost) identify(c *conn) {
	if err := h.store.AddProtocols(c.server.id, Protocol); err != nil {
		panic(err) // the memory store refuses only above a limit that one protocol is far from
	}
	close(c.identified)
	h.net.after(c.server.slot, identifiedLane, 2*slotPeriod, func() {
		if c.IsClosed() {
			return
		}
		h.emit(h.identified, event.EvtPeerIdentificationCompleted{Peer: c.server.id, Conn: c, Protocols: []protocol.ID{Protocol}})
	})
}

// emit sends an event to the host's services. An error means that the host is closing.
func (h *simHost) emit(to event.Emitter, e any) { _ = to.Emit(e) }

// disconnect closes the connections and emits the events.
func (h *simHost) disconnect(list []*conn) {
	for _, c := range list {
		h.mu.Lock()
		if h.open[c.server.id] != c {
			h.mu.Unlock()
			continue
		}
		delete(h.open, c.server.id)
		notifiees := slices.Clone(h.notifiees)
		h.mu.Unlock()
		c.shut()
		h.store.UpdateAddrs(c.server.id, peerstore.ConnectedAddrTTL, peerstore.RecentlyConnectedAddrTTL)
		for _, nf := range notifiees {
			nf.Disconnected(h.swarm, c)
		}
		h.emit(h.connected, event.EvtPeerConnectednessChanged{Peer: c.server.id, Connectedness: network.NotConnected})
	}
}

// counters count what the host has sent and received.
type counters struct {
	find, findSelf, get, put, addProvider, getProviders, ping atomic.Int64
	dials, failedDials, bytesUp, bytesDown                    atomic.Int64
}
