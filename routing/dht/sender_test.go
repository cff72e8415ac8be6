package dht

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/goipns/ipns/internal/leaktest"
	"github.com/goipns/ipns/routing"
)

// scripted is a server that treats each frame as its script says.
type scripted struct {
	host    host.Host
	streams atomic.Int64
	served  atomic.Int64
}

// verdict is what a script does with a request.
type verdict int

const (
	echo   verdict = iota // answer with the request
	refuse                // reset the stream
	hang                  // stop reading and answering
	gibberish
)

func newHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newScripted(t *testing.T, script func(*pb.Message) verdict) *scripted {
	t.Helper()
	s := &scripted{host: newHost(t)}
	s.host.SetStreamHandler(ProtocolLAN, func(raw network.Stream) {
		s.streams.Add(1)
		st := &stream{Stream: raw, rw: raw, r: bufio.NewReader(raw)}
		for {
			m, err := st.read()
			if err != nil {
				st.reset()
				return
			}
			switch script(m) {
			case echo:
				frame, _ := encodeFrame(m)
				if st.write(frame) != nil {
					return
				}
				s.served.Add(1)
			case refuse:
				st.reset()
				return
			case hang:
				return
			case gibberish:
				_ = st.write(binary.AppendUvarint(nil, maxFrame+1))
			}
		}
	})
	return s
}

// newClient returns a sender that knows the addresses of the servers.
func newClient(t *testing.T, servers ...*scripted) *sender {
	t.Helper()
	h := newHost(t)
	s := newSender(h, ProtocolLAN, func(id peer.ID) []ma.Multiaddr {
		for _, server := range servers {
			if server.host.ID() == id {
				return server.host.Addrs()
			}
		}
		return []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1")}
	})
	t.Cleanup(func() {
		s.close()
		errs := []error{h.Close()}
		for _, server := range servers {
			errs = append(errs, server.host.Close())
		}
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
	})
	return s
}

func message(key string) *pb.Message {
	return pb.NewMessage(pb.Message_PUT_VALUE, []byte(key), 0)
}

// requests sends n requests at once and returns their errors.
func requests(ctx context.Context, s *sender, p peer.ID, n int, key func(int) string) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			a, err := s.request(ctx, p, message(key(i)))
			if err == nil && string(a.msg.GetKey()) != key(i) {
				err = fmt.Errorf("request %d got the answer to %q", i, a.msg.GetKey())
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errs
}

// The server answers only after it has read a window of requests.
func TestRequestsArePipelined(t *testing.T) {
	var mu sync.Mutex
	var waiting []*pb.Message
	s := &scripted{host: newHost(t)}
	s.host.SetStreamHandler(ProtocolLAN, func(raw network.Stream) {
		s.streams.Add(1)
		st := &stream{Stream: raw, rw: raw, r: bufio.NewReader(raw)}
		for {
			m, err := st.read()
			if err != nil {
				return
			}
			mu.Lock()
			if waiting = append(waiting, m); len(waiting) >= window {
				for _, m := range waiting {
					frame, _ := encodeFrame(m)
					_ = st.write(frame)
				}
				waiting = nil
			}
			mu.Unlock()
		}
	})
	c := newClient(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, err := range requests(ctx, c, s.host.ID(), 3*window, func(i int) string { return fmt.Sprint(i) }) {
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if n := s.streams.Load(); n != 1 {
		t.Errorf("%d streams, want 1", n)
	}
}

// A server that refuses some requests resets the stream each time, and answers in flight
// are lost. Only the refused requests fail.
func TestRefusalsDoNotAbandonTheRest(t *testing.T) {
	for _, every := range []int{200, 40, 10, 1} {
		t.Run(fmt.Sprint(every), func(t *testing.T) {
			bad := func(i int) bool { return i%every == every/2 }
			s := newScripted(t, func(m *pb.Message) verdict {
				if bytes.HasPrefix(m.GetKey(), []byte("bad")) {
					return refuse
				}
				return echo
			})
			c := newClient(t, s)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			errs := requests(ctx, c, s.host.ID(), 200, func(i int) string {
				if bad(i) {
					return fmt.Sprint("bad", i)
				}
				return fmt.Sprint(i)
			})
			for i, err := range errs {
				if bad(i) && !errors.Is(err, errRefused) || !bad(i) && err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			}
		})
	}
}

func TestStreamThatRestedTooLong(t *testing.T) {
	s := newScripted(t, func(*pb.Message) verdict { return echo })
	var raw network.Stream
	s.host.SetStreamHandler(ProtocolLAN, func(r network.Stream) {
		s.streams.Add(1)
		raw = r
		st := &stream{Stream: r, rw: r, r: bufio.NewReader(r)}
		for {
			m, err := st.read()
			if err != nil {
				return
			}
			frame, _ := encodeFrame(m)
			_ = st.write(frame)
		}
	})
	c := newClient(t, s)
	for range 3 {
		if _, err := c.request(t.Context(), s.host.ID(), message("x")); err != nil {
			t.Fatal(err)
		}
		_ = raw.Reset() // as servers do after a minute
		time.Sleep(20 * time.Millisecond)
	}
	if n := s.streams.Load(); n != 3 {
		t.Errorf("%d streams, want a new one after each reset", n)
	}
}

func TestGivingUp(t *testing.T) {
	s := newScripted(t, func(m *pb.Message) verdict {
		switch string(m.GetKey()) {
		case "hang":
			return hang
		case "gibberish":
			return gibberish
		}
		return echo
	})
	c := newClient(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.request(ctx, s.host.ID(), message("hang")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a silent server: %v", err)
	}
	// A later request is not held up by the silent stream.
	if _, err := c.request(t.Context(), s.host.ID(), message("x")); err != nil {
		t.Errorf("after a silent stream: %v", err)
	}
	if _, err := c.request(t.Context(), s.host.ID(), message("gibberish")); err == nil || errors.Is(err, errRefused) {
		t.Errorf("a server that sends garbage: %v", err)
	}
	nobody := newHost(t)
	nobody.Close()
	if _, err := c.request(t.Context(), nobody.ID(), message("x")); err == nil {
		t.Error("nobody answered")
	}
	c.close()
	if _, err := c.request(t.Context(), s.host.ID(), message("x")); !errors.Is(err, errClosed) {
		t.Errorf("after close: %v", err)
	}
}

// TestNothingIsSentAfterTheDialThatMustNotBeAnyMore loses the right to send while the server is
// dialed. The stream is there for what may be sent.
func TestNothingIsSentAfterTheDialThatMustNotBeAnyMore(t *testing.T) {
	var held atomic.Bool
	var asked atomic.Int64
	server := newScripted(t, func(*pb.Message) verdict { asked.Add(1); return echo })
	s := newClient(t, server)
	addrs := s.addrs
	s.addrs = func(id peer.ID) []ma.Multiaddr { held.Store(false); return addrs(id) }
	ctx := routing.While(t.Context(), held.Load)
	held.Store(true)
	if _, err := s.request(ctx, server.host.ID(), message("a")); !errors.Is(err, routing.ErrNotHeld) || asked.Load() > 0 {
		t.Errorf("%v, and the server was asked %d times", err, asked.Load())
	}
	held.Store(true)
	if _, err := s.request(ctx, server.host.ID(), message("b")); err != nil || asked.Load() != 1 {
		t.Errorf("on the stream that stands: %v, and the server was asked %d times", err, asked.Load())
	}
}

// Nothing remains of requests without a caller once their answers were waited for a
// moment.
func TestNothingIsLeft(t *testing.T) {
	s := newScripted(t, func(m *pb.Message) verdict { return hang })
	c := newClient(t, s)
	if err := c.host.Connect(t.Context(), *host.InfoFromHost(s.host)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // the hosts identify each other
	ignore := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	requests(ctx, c, s.host.ID(), 10, func(i int) string { return fmt.Sprint(i) })
	left := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.links)
	}
	for end := time.Now().Add(100 * drainTimeout); left() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d links are left", left())
		}
	}
	leaktest.VerifyNone(t, ignore)
}

// A stream is kept when an answer arrives that no caller waits for.
func TestLateAnswers(t *testing.T) {
	late := make(chan struct{})
	s := newScripted(t, func(m *pb.Message) verdict {
		if string(m.GetKey()) == "late" {
			<-late
		}
		return echo
	})
	c := newClient(t, s)
	if _, err := c.request(t.Context(), s.host.ID(), message("first")); err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, stop)
	if _, err := c.request(stopped, s.host.ID(), message("late")); !errors.Is(err, context.Canceled) {
		t.Fatalf("a request whose caller went: %v", err)
	}
	close(late)
	if a, err := c.request(t.Context(), s.host.ID(), message("next")); err != nil || string(a.msg.GetKey()) != "next" {
		t.Fatalf("the request after it: %v, %v", a.msg, err)
	}
	if n := s.streams.Load(); n != 1 {
		t.Errorf("%d streams were opened", n)
	}
}
