package serve

import (
	"context"
	"net"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// listening returns the address of a server that handles connections so, until the test ends.
func listening(t *testing.T, handle func(net.Conn)) ma.Multiaddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-over })
	go func() {
		defer close(over)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			handle(conn)
		}
	}()
	at, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestServerIsAliveIfItAnswersOrEndsAConnection(t *testing.T) {
	for name, handle := range map[string]func(net.Conn){
		"answers": func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 429 Too Many Requests\r\n\r\n")) },
		"crowded": func(c net.Conn) { _ = c.Close() },
	} {
		s := &Servers{Gateway: listening(t, handle)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := s.Alive(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestServerIsNotAliveIfItIsSilentOrGone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s := &Servers{API: listening(t, func(net.Conn) {})}
	if err := s.Alive(ctx); err == nil {
		t.Error("a server that says nothing is taken for alive")
	}
	l, err := manet.Listen(ma.StringCast("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		t.Fatal(err)
	}
	s.API = l.Multiaddr()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Alive(t.Context()); err == nil {
		t.Error("a server that is gone is taken for alive")
	}
}
