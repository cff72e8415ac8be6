package simnet

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// conn is a connection of a host to a server.
type conn struct {
	host       *simHost
	server     *server
	number     uint64
	opened     time.Time
	identified chan struct{} // closed when identify has run
	gone       chan struct{} // closed when the connection is

	mu         sync.Mutex
	closed     bool
	identify   *time.Timer
	streams    map[*stream]struct{}
	lastStream uint64
}

// setIdentify stores the timer that runs identify, so that shut can stop it.
func (c *conn) setIdentify(t *time.Timer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed { // closed as soon as it was reported
		t.Stop()
	}
	c.identify = t
}

// awaitIdentify is deterministic when several cases of a select are ready.
func (c *conn) awaitIdentify(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case <-c.identified:
		return nil
	default:
	}
	select {
	case <-c.identified:
		return nil
	case <-c.gone:
		return &network.ConnError{}
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *conn) newStream(p protocol.ID) (*stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &network.ConnError{}
	}
	s := newStream(c, p)
	c.streams[s] = struct{}{}
	return s, nil
}

func (c *conn) forget(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, s)
}

// openStreams lists the streams in the order in which they were opened.
func (c *conn) openStreams() []*stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*stream, 0, len(c.streams))
	for s := range c.streams {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *stream) int { return int(a.number) - int(b.number) })
	return list
}

// shut ends the connection and its streams.
func (c *conn) shut() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	close(c.gone)
	if c.identify != nil {
		c.identify.Stop()
	}
	c.mu.Unlock()
	for _, s := range c.openStreams() {
		s.end(&network.StreamError{})
	}
}

func (c *conn) Close() error {
	c.host.disconnect([]*conn{c})
	return nil
}

func (c *conn) CloseWithError(network.ConnErrorCode) error { return c.Close() }

func (c *conn) IsClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *conn) NewStream(context.Context) (network.Stream, error) { return c.newStream("") }

func (c *conn) GetStreams() []network.Stream {
	var list []network.Stream
	for _, s := range c.openStreams() {
		list = append(list, s)
	}
	return list
}

func (c *conn) Stat() network.ConnStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return network.ConnStats{
		Stats:      network.Stats{Direction: network.DirOutbound, Opened: c.opened},
		NumStreams: len(c.streams),
	}
}

func (c *conn) ID() string                    { return strconv.FormatUint(c.number, 10) }
func (c *conn) LocalPeer() peer.ID            { return c.host.id }
func (c *conn) RemotePeer() peer.ID           { return c.server.id }
func (c *conn) LocalMultiaddr() ma.Multiaddr  { return c.host.addr }
func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.server.addr }
func (c *conn) Scope() network.ConnScope      { return &network.NullScope{} }
func (c *conn) As(any) bool                   { return false }

func (c *conn) ConnState() network.ConnectionState {
	return network.ConnectionState{Transport: "quic-v1"}
}

func (c *conn) RemotePublicKey() crypto.PubKey {
	key, err := c.server.id.ExtractPublicKey()
	if err != nil {
		return nil
	}
	return key
}
