package ownrelay

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/time/rate"
)

// paced is a host whose streams share one rate of bytes and have an end. Each byte of a
// connection is read once, on the stream that it comes by.
type paced struct {
	host.Host
	life context.Context // reads that wait for their turn end with it
	rate *rate.Limiter
	room *room
}

func newPaced(life context.Context, h host.Host, bytes int64, r *room) *paced {
	return &paced{h, life, rate.NewLimiter(rate.Limit(bytes), bufferSize), r}
}

// SetStreamHandler is for the streams by which others ask for a place or a connection.
func (p *paced) SetStreamHandler(id protocol.ID, handle network.StreamHandler) {
	p.Host.SetStreamHandler(id, func(s network.Stream) {
		leave, ok := p.room.enter(s.Conn())
		if !ok {
			refuse(s)
			return
		}
		handle(p.wrap(s, leave))
	})
}

func (p *paced) NewStream(ctx context.Context, to peer.ID, ids ...protocol.ID) (network.Stream, error) {
	s, err := p.Host.NewStream(ctx, to, ids...)
	if err != nil {
		return nil, err
	}
	return p.wrap(s, func() {}), nil
}

// wrap paces a stream, and calls ended when the relay has done with it.
func (p *paced) wrap(s network.Stream, ended func()) network.Stream {
	return &pacedStream{Stream: s, of: p, end: time.Now().Add(circuitLife), ended: ended}
}

// pacedStream is one half of a connection through the relay.
type pacedStream struct {
	network.Stream
	of    *paced
	end   time.Time
	ended func()
}

// Close or Reset is the last that the relay does with a stream.

func (s *pacedStream) Close() error {
	defer s.ended()
	return s.Stream.Close()
}

func (s *pacedStream) Reset() error {
	defer s.ended()
	return s.Stream.Reset()
}

// Read waits after each read until its bytes have their turn.
func (s *pacedStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b[:min(len(b), bufferSize)])
	if wait := s.of.rate.WaitN(s.of.life, n); wait != nil && err == nil {
		err = wait
	}
	return n, err
}

// The relay sets deadlines for its handshakes, and takes them away for what follows: that
// ends, too.

func (s *pacedStream) SetDeadline(t time.Time) error { return s.Stream.SetDeadline(s.before(t)) }

func (s *pacedStream) SetReadDeadline(t time.Time) error {
	return s.Stream.SetReadDeadline(s.before(t))
}

func (s *pacedStream) SetWriteDeadline(t time.Time) error {
	return s.Stream.SetWriteDeadline(s.before(t))
}

func (s *pacedStream) before(t time.Time) time.Time {
	if t.IsZero() || t.After(s.end) {
		return s.end
	}
	return t
}
