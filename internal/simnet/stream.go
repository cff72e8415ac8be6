package simnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"
)

// idleTimeout is how long a server keeps an idle stream.
const idleTimeout = time.Minute

// A stream carries frames (a uvarint length and a protobuf message) in both directions. A
// request takes half a round trip to the server, which processes requests in order; the
// answers return in order. Any number may be in flight.
type stream struct {
	conn   *conn
	number uint64
	lane   uint32        // see Network.instant
	wake   chan struct{} // holds a token when a reader should look again

	mu       sync.Mutex
	protocol protocol.ID
	agreed   bool      // the protocol is agreed, on the wire
	partial  []byte    // of a frame that the client has started to write
	out      []request // on their way to the server
	back     []reply   // on their way to the client
	ready    []byte    // arrived but not read
	busy     time.Time // the server is busy until then
	silent   bool      // the server has stopped answering
	err      error     // the stream has ended: returned by Read and Write
	finished bool      // the client has closed its write side
	eof      bool      // the server has closed its side, and everything has arrived
	noRead   bool      // the client has closed its read side
	deadline struct{ read, write time.Time }
	idle     *time.Timer
}

type request struct {
	sent time.Time
	msg  *pb.Message // nil: the client closed its write side
	bad  bool        // not a message
	size int         // on the wire
}

type reply struct {
	arrives time.Time
	frame   []byte // nil: the server closed its side
	reset   bool
}

// newStream makes a stream. The caller holds c.mu.
func newStream(c *conn, p protocol.ID) *stream {
	c.lastStream++
	s := &stream{conn: c, number: c.lastStream, lane: firstStreamLane + uint32(len(c.streams)), protocol: p, wake: make(chan struct{}, 1)}
	s.idle = s.after(idleTimeout, func() { s.end(&network.StreamError{Remote: true}) })
	return s
}

func (s *stream) after(d time.Duration, f func()) *time.Timer {
	return s.conn.host.net.after(s.conn.server.slot, s.lane, d, f)
}

func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return 0, s.err
	case s.finished:
		return 0, errors.New("simnet: write on a closed stream")
	case s.protocol != Protocol:
		return 0, errors.New("simnet: write on a stream whose protocol is not set")
	case !s.deadline.write.IsZero() && !time.Now().Before(s.deadline.write):
		return 0, os.ErrDeadlineExceeded
	}
	s.partial = append(s.partial, b...)
	s.agree()
	for {
		size, prefix := binary.Uvarint(s.partial)
		if prefix < 0 || size > network.MessageSizeMax {
			s.send(request{bad: true})
			return len(b), nil
		}
		if prefix == 0 || uint64(len(s.partial)-prefix) < size {
			return len(b), nil
		}
		frame := s.partial[prefix : prefix+int(size)]
		if s.partial = s.partial[prefix+int(size):]; len(s.partial) == 0 {
			s.partial = nil
		}
		msg := new(pb.Message)
		bad := proto.Unmarshal(frame, msg) != nil
		if !bad {
			s.conn.host.count.request(s.conn.server.id, msg, 1)
		}
		s.send(request{msg: msg, bad: bad, size: prefix + int(size)})
	}
}

// agreement is what multistream-select makes both sides send first: its own name and the
// protocol, each as a line with a length prefix.
var agreement = func() string {
	line := func(s string) string { return string(rune(len(s)+1)) + s + "\n" }
	return line("/multistream/1.0.0") + line(string(Protocol))
}()

// agree handles clients that open streams below the host and negotiate the protocol
// together with their first frame. The server's part arrives with its first answer and
// takes no extra time. The caller holds s.mu.
func (s *stream) agree() {
	if rest, ok := bytes.CutPrefix(s.partial, []byte(agreement)); ok && !s.agreed {
		s.agreed, s.partial = true, rest
		s.ready = append(s.ready, agreement...)
		s.conn.host.count.bytesUp.Add(int64(len(agreement)))
		s.conn.host.count.bytesDown.Add(int64(len(agreement)))
	}
}

// send sends a request. The caller holds s.mu.
func (s *stream) send(r request) {
	s.idle.Reset(idleTimeout)
	s.conn.host.count.bytesUp.Add(int64(r.size))
	r.sent = time.Now()
	s.out = append(s.out, r)
	if len(s.out) == 1 {
		time.AfterFunc(s.halfWay(), s.serve)
	}
}

func (s *stream) halfWay() time.Duration { return s.conn.server.roundTrip() / 2 }

// recall takes back the requests written at this very instant: when the stream is reset,
// they have not left yet. When a client is told to stop while it starts a request, it is
// random in Go whether it still writes it; with recall this makes no difference. The
// caller holds s.mu.
func (s *stream) recall() {
	now := time.Now()
	for last := len(s.out) - 1; last >= 0 && s.out[last].sent.Equal(now); last-- {
		r := s.out[last]
		s.out = s.out[:last]
		s.conn.host.count.bytesUp.Add(int64(-r.size))
		if r.msg != nil && !r.bad {
			s.conn.host.count.request(s.conn.server.id, r.msg, -1)
		}
	}
}

// serve runs at the server when the first request in flight arrives.
func (s *stream) serve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.busy.Before(now) {
		s.busy = now
	}
	half := s.halfWay()
	for len(s.out) > 0 && !s.out[0].sent.Add(half).After(now) {
		r := s.out[0]
		s.out = behind(s.out)
		if s.silent {
			continue
		}
		s.busy = s.busy.Add(processing)
		if r.msg == nil && !r.bad {
			s.reply(reply{})
			continue
		}
		var frame []byte
		what := refused
		if !r.bad {
			frame, what = s.conn.server.serve(s.conn.host.id, r.msg)
		}
		if what != answered {
			s.silent = true
		}
		if what == refused {
			s.reply(reply{reset: true})
		} else if frame != nil {
			s.reply(reply{frame: frame})
		}
	}
	if len(s.out) > 0 {
		time.AfterFunc(time.Until(s.out[0].sent.Add(half)), s.serve)
	}
}

// behind returns the list without its first element and without a reference to it, so
// that an idle stream takes no memory.
func behind[T any](list []T) []T {
	var zero T
	if list[0] = zero; len(list) == 1 {
		return nil
	}
	return list[1:]
}

// serve handles one request and frames the answer.
func (s *server) serve(from peer.ID, req *pb.Message) ([]byte, verdict) {
	resp, what := s.handle(from, req)
	if resp == nil || what != answered {
		return nil, what
	}
	size := proto.Size(resp)
	frame := binary.AppendUvarint(make([]byte, 0, size+binary.MaxVarintLen32), uint64(size))
	frame, err := proto.MarshalOptions{}.MarshalAppend(frame, resp)
	if err != nil {
		panic(err) // made of parts that were parsed or made here
	}
	return frame, answered
}

// reply sends an answer back. The caller holds s.mu.
func (s *stream) reply(r reply) {
	r.arrives = s.conn.host.net.instant(s.conn.server.slot, s.lane, s.busy.Add(s.halfWay()))
	if last := len(s.back) - 1; last >= 0 && r.arrives.Before(s.back[last].arrives) {
		r.arrives = s.back[last].arrives
	}
	s.back = append(s.back, r)
	if len(s.back) == 1 {
		time.AfterFunc(time.Until(r.arrives), s.deliver)
	}
}

// deliver runs at the client when the first answer in flight arrives. A reset discards
// answers that arrived and were not read.
func (s *stream) deliver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for len(s.back) > 0 && !s.back[0].arrives.After(now) {
		r := s.back[0]
		s.back = behind(s.back)
		switch {
		case r.reset:
			s.over(&network.StreamError{Remote: true})
		case r.frame == nil:
			s.eof = true
		case s.err == nil && !s.noRead:
			s.conn.host.count.bytesDown.Add(int64(len(r.frame)))
			s.ready = append(s.ready, r.frame...)
		}
	}
	if len(s.back) > 0 {
		time.AfterFunc(time.Until(s.back[0].arrives), s.deliver)
	}
	s.kick()
}

func (s *stream) Read(b []byte) (int, error) {
	for {
		s.mu.Lock()
		n, err, wait := s.take(b)
		deadline := s.deadline.read
		s.mu.Unlock()
		if !wait {
			return n, err
		}
		if deadline.IsZero() {
			<-s.wake
			continue
		}
		timer := time.NewTimer(time.Until(deadline))
		select {
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take is Read without the waiting. The caller holds s.mu.
func (s *stream) take(b []byte) (n int, err error, wait bool) {
	switch {
	case s.err != nil:
		return 0, s.err, false
	case s.noRead:
		return 0, errors.New("simnet: read on a closed stream"), false
	case len(s.ready) > 0:
		n := copy(b, s.ready)
		if s.ready = s.ready[n:]; len(s.ready) == 0 {
			s.ready = nil
		}
		return n, nil, false
	case s.eof:
		return 0, io.EOF, false
	case !s.deadline.read.IsZero() && !time.Now().Before(s.deadline.read):
		return 0, os.ErrDeadlineExceeded, false
	}
	return 0, nil, len(b) > 0
}

// kick wakes a waiting reader.
func (s *stream) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// end makes the stream fail with err, unless it has already ended. Requests in flight
// still reach the server.
func (s *stream) end(err error) {
	s.mu.Lock()
	s.recall()
	s.over(err)
	s.mu.Unlock()
	s.conn.forget(s)
}

// over is end without removing the stream from the connection. The caller holds s.mu.
func (s *stream) over(err error) {
	if s.err == nil {
		s.err, s.ready = err, nil
		s.idle.Stop()
	}
	s.kick()
}

func (s *stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !s.finished {
		s.finished = true
		s.send(request{})
	}
	return nil
}

func (s *stream) CloseRead() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noRead, s.ready = true, nil
	s.kick()
	return nil
}

func (s *stream) Close() error {
	err := errors.Join(s.CloseWrite(), s.CloseRead())
	s.mu.Lock()
	s.idle.Stop()
	s.mu.Unlock()
	s.conn.forget(s)
	return err
}

func (s *stream) Reset() error { return s.ResetWithError(0) }

func (s *stream) ResetWithError(code network.StreamErrorCode) error {
	s.end(&network.StreamError{ErrorCode: code})
	return nil
}
