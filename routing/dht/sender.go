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
	// window is how many requests may be in flight on one stream. A server handles
	// them one at a time; more would only fill its buffers.
	window = 64

	// stallTimeout is how long a server may stay silent while requests are in flight
	// before its stream is closed.
	stallTimeout = 30 * time.Second

	// drainTimeout replaces stallTimeout once no caller waits any more.
	drainTimeout = time.Second

	// dropTimeout is how long dropWhenIdle waits.
	dropTimeout = 100 * time.Millisecond

	// maxIdleStreams bounds the idle streams kept open for later requests.
	maxIdleStreams = 512

	// maxLosses is how often a request may be lost, with its connection or behind an
	// unanswered request, before it fails.
	maxLosses = 2
)

// Errors of a request.
var (
	// errRefused says that the server reset the stream because of this request.
	errRefused = fmt.Errorf("the server %w the request", routing.ErrRefused)
	// errStalled says that the server accepted the request but did not answer.
	errStalled = errors.New("the server does not answer")
	errClosed  = errors.New("the router is closed")
)

// sender sends requests to servers and returns their answers. It keeps one stream per
// server and pipelines requests on it: servers answer in the order of the requests.
type sender struct {
	host     host.Host
	protocol protocol.ID
	addrs    func(peer.ID) []ma.Multiaddr // returns the addresses of a server

	ctx    context.Context // of all links
	cancel context.CancelFunc
	wg     sync.WaitGroup // running links

	mu    sync.Mutex
	links map[peer.ID]*link
	idle  []*link // links with an unused stream, the longest idle first
	dead  bool    // closed
}

func newSender(h host.Host, p protocol.ID, addrs func(peer.ID) []ma.Multiaddr) *sender {
	ctx, cancel := context.WithCancel(context.Background())
	return &sender{host: h, protocol: p, addrs: addrs, ctx: ctx, cancel: cancel, links: make(map[peer.ID]*link)}
}

// close ends all requests and streams and waits for the links.
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
	clear(s.links) // cleared, not nil: a late request may still read it
}

// answer is the answer to one request.
type answer struct {
	msg *pb.Message
	rtt time.Duration // from the request to the answer, without the dial
}

// request sends m to the server and waits for the answer or the end of ctx. It dials
// the server if necessary. If the stream is reset because of another request, m is
// sent again.
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
	case r := <-done: // an answer that came at the same time still counts
		return r.answer, r.err
	default:
		s.abandoned(p)
		return answer{}, ctx.Err()
	}
}

// batch sends count frames to the server, at most window of them at a time, and calls
// got with each answer, in the order of the frames. A refusal fails only one frame.
// batch returns early with an error if the server cannot be reached or is lost, if
// got returns an error, if ctx ends, or if nothing may be sent under it any more.
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

// enqueue queues calls on the server's link, to be sent in this order, and starts the
// link if it is idle. It refuses what must not be sent any more, see routing.While.
func (s *sender) enqueue(p peer.ID, calls ...*call) error {
	for _, c := range calls {
		if err := routing.Allowed(c.ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return errClosed
	}
	l := s.link(p)
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

// link returns the server's link, a new one if it has none. Call with mu held.
func (s *sender) link(p peer.ID) *link {
	l := s.links[p]
	if l == nil {
		l = &link{sender: s, peer: p, wake: make(chan struct{}, 1)}
		s.links[p] = l
	}
	return l
}

// abandoned tells the server's link that a caller has left. If it was the last one,
// the link stops dialling.
func (s *sender) abandoned(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.links[p]; l != nil && l.running {
		l.poke()
	}
}

// dropWhenIdle calls drop once the server's link has nothing to do, unless a new call
// to the server comes first and takes over the connection. Nothing is sent to the
// server while drop runs. dropWhenIdle waits for drop, but at most dropTimeout.
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

// requestDrop registers drop with the server's link. It returns false if the sender
// is closed, so that drop will not be called.
func (s *sender) requestDrop(p peer.ID, drop func(peer.ID)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return false
	}
	l := s.link(p)
	if l.onIdle = drop; l.running {
		l.poke()
		return true
	}
	l.running = true
	s.unpark(l)
	s.wg.Go(l.run)
	return true
}

// takeDrop returns the registered drop function of a link with nothing to do, or nil.
func (s *sender) takeDrop(l *link) (drop func(peer.ID)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(l.queue) > 0 || s.dead {
		return nil
	}
	drop, l.onIdle = l.onIdle, nil
	return drop
}

// park is called by a link with nothing to do. It returns false if there is a new
// call. Otherwise the link must end, and its stream, if any, is kept as idle.
func (s *sender) park(l *link) bool {
	var evicted *link
	defer func() {
		if evicted != nil {
			evicted.stream.close() // without the lock: it may be slow
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

// unpark removes a link from the idle list. The caller holds the lock.
func (s *sender) unpark(l *link) {
	for i, other := range s.idle {
		if other == l {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			return
		}
	}
}

// result is the outcome of one call.
type result struct {
	answer
	tag int // of the call
	err error
}

// call is one request, queued or in flight.
type call struct {
	ctx    context.Context
	frame  []byte
	tag    int
	done   chan<- result // buffered, so that end never blocks
	sent   time.Time
	losses int // how often its stream broke without being reset

	// got, unless nil, is called with the answer before the link sends anything else.
	got func(*pb.Message)
}

// end delivers the result of the call.
func (c *call) end(a answer, err error) { c.done <- result{a, c.tag, err} }
