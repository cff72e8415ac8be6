package dht

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns/routing"
)

const (
	// window is how many requests wait on one stream for their answers. A
	// server handles them one after the other; more only fill its buffers.
	window = 64

	// stallTimeout is how long a server may stay silent while requests wait
	// before its stream is given up.
	stallTimeout = 30 * time.Second

	// drainTimeout is how long a server may stay silent when nobody waits any more.
	drainTimeout = time.Second

	// dropTimeout is how long a visit waits for its connection to be closed.
	dropTimeout = 100 * time.Millisecond

	// maxIdleStreams bounds the streams that are kept open for later requests.
	maxIdleStreams = 512

	// maxLosses is how often a request may be lost with its connection or behind
	// one that is not answered before it is given up.
	maxLosses = 2
)

// Errors of a request.
var (
	// errRefused says that the server ended the stream instead of answering this
	// very request.
	errRefused = fmt.Errorf("the server %w the request", routing.ErrRefused)
	// errStalled says that the server took the request and stayed silent.
	errStalled = errors.New("the server does not answer")
	errClosed  = errors.New("the router is closed")
)

// sender sends requests to servers and hands out their answers. It keeps one
// stream to each server, on which any number of requests travel without waiting
// for each other: servers answer in the order of the requests.
type sender struct {
	host     host.Host
	protocol protocol.ID
	addrs    func(peer.ID) []ma.Multiaddr // where a server is

	ctx    context.Context // ends all that runs
	cancel context.CancelFunc
	wg     sync.WaitGroup // one for each link that runs

	mu    sync.Mutex
	links map[peer.ID]*link
	idle  []*link // links with a stream that nobody uses, the longest idle first
	dead  bool    // closed: nothing new starts
}

func newSender(h host.Host, p protocol.ID, addrs func(peer.ID) []ma.Multiaddr) *sender {
	ctx, cancel := context.WithCancel(context.Background())
	return &sender{host: h, protocol: p, addrs: addrs, ctx: ctx, cancel: cancel, links: make(map[peer.ID]*link)}
}

// close ends all requests and streams and waits for what runs.
func (s *sender) close() {
	s.mu.Lock()
	s.dead = true
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	for _, l := range idle {
		l.stream.reset()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.links) // a request that comes too late may look for its own
}

// answer is the answer to one request.
type answer struct {
	msg *pb.Message
	rtt time.Duration // from the request to the answer, without the dial
}

// request sends m to the server and waits for the answer, or for the end of ctx.
// The server is dialled if need be. A request that others' refusals took down
// with their stream is sent again.
func (s *sender) request(ctx context.Context, p peer.ID, m *pb.Message) (answer, error) {
	frame, err := encodeFrame(m)
	if err != nil {
		return answer{}, fmt.Errorf("encoding request: %w", err)
	}
	done := make(chan result, 1)
	if err := s.enqueue(p, &call{ctx: ctx, frame: frame, done: done}); err != nil {
		return answer{}, err
	}
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done: // an answer at the last moment is one
		return r.answer, r.err
	default:
		s.abandoned(p)
		return answer{}, ctx.Err()
	}
}

// batch sends count frames to the server, a window of them at a time, and tells
// got of each answer, in the order of the frames. Refusals concern one frame each.
// It ends early with an error when the server cannot be reached or is lost, when
// got returns one, and when ctx ends.
func (s *sender) batch(ctx context.Context, p peer.ID, count int, frame func(i int) ([]byte, error), got func(i int, a answer, err error) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.abandoned(p)
	defer cancel()
	done := make(chan result, window)
	for next, inFlight := 0, 0; next < count || inFlight > 0; {
		for ; next < count && inFlight < window; next++ {
			f, err := frame(next)
			if err != nil {
				return fmt.Errorf("encoding request: %w", err)
			}
			if err := s.enqueue(p, &call{ctx: ctx, frame: f, tag: next, done: done}); err != nil {
				return err
			}
			inFlight++
		}
		select {
		case r := <-done:
			inFlight--
			if r.err != nil && !errors.Is(r.err, errRefused) {
				return r.err
			}
			if err := got(r.tag, r.answer, r.err); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// enqueue gives calls to the server's link, to be sent in this order, and starts
// it if it rests.
func (s *sender) enqueue(p peer.ID, calls ...*call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return errClosed
	}
	l := s.links[p]
	if l == nil {
		l = &link{sender: s, peer: p, wake: make(chan struct{}, 1)}
		s.links[p] = l
	}
	l.queue, l.onIdle = append(l.queue, calls...), nil
	if l.running {
		l.poke()
		return nil
	}
	l.running = true
	s.unpark(l)
	s.wg.Go(l.run)
	return nil
}

// abandoned tells the server's link that a caller has gone: if it was the last
// one there is nothing to dial for.
func (s *sender) abandoned(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.links[p]; l != nil && l.running {
		l.poke()
	}
}

// part has drop called once the server's link has nothing to do, unless somebody
// calls the server before: then the connection is theirs. Nothing is sent to the
// server while drop runs. It waits for that, but not for those who use the link.
func (s *sender) dropWhenIdle(p peer.ID, drop func(peer.ID)) {
	dropped := make(chan struct{})
	if !s.requestDrop(p, func(p peer.ID) { defer close(dropped); drop(p) }) {
		return
	}
	t := time.NewTimer(dropTimeout)
	defer t.Stop()
	select {
	case <-dropped:
	case <-t.C:
	case <-s.ctx.Done():
	}
}

// requestDrop reports whether drop may come to be called.
func (s *sender) requestDrop(p peer.ID, drop func(peer.ID)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return false
	}
	l := s.links[p]
	if l == nil {
		l = &link{sender: s, peer: p, wake: make(chan struct{}, 1)}
		s.links[p] = l
	}
	if l.onIdle = drop; l.running {
		l.poke()
		return true
	}
	l.running = true
	s.unpark(l)
	s.wg.Go(l.run)
	return true
}

// parts returns what a link that has nothing to do has to call, or nil.
func (s *sender) takeDrop(l *link) (drop func(peer.ID)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(l.queue) > 0 || s.dead {
		return nil
	}
	drop, l.onIdle = l.onIdle, nil
	return drop
}

// rest is called by a link that has nothing to do. It reports whether that is
// still so: then the link is over, and its stream is kept for later if it has one.
func (s *sender) park(l *link) bool {
	var evicted *link
	defer func() {
		if evicted != nil {
			evicted.stream.close() // without the lock: it may take its time
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(l.queue) > 0 && !s.dead {
		return false
	}
	l.running = false
	for _, c := range l.queue {
		c.end(answer{}, errClosed)
	}
	l.queue = nil
	if s.dead || l.stream == nil {
		delete(s.links, l.peer)
		if l.stream != nil {
			l.stream.reset()
		}
		return true
	}
	l.stream.wasIdle = true
	s.idle = append(s.idle, l)
	if len(s.idle) > maxIdleStreams {
		evicted = s.idle[0]
		s.idle = s.idle[1:]
		delete(s.links, evicted.peer)
	}
	return true
}

// unpark takes a link from the idle ones. The caller holds the lock.
func (s *sender) unpark(l *link) {
	for i, other := range s.idle {
		if other == l {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			return
		}
	}
}

// result is what became of one call.
type result struct {
	answer
	tag int // of the call
	err error
}

// call is one request on its way.
type call struct {
	ctx    context.Context
	frame  []byte
	tag    int
	done   chan<- result // has room for the result
	sent   time.Time
	losses int // how often its stream broke without being reset

	// got, unless nil, is shown the answer before the link sends anything more.
	got func(*pb.Message)
}

// end tells the caller what became of the call.
func (c *call) end(a answer, err error) { c.done <- result{a, c.tag, err} }
