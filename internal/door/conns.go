package door

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"
)

// conns are the open connections of a door.
type conns struct {
	max, perAddress int
	room            chan struct{} // has an element when a connection may have made room

	mu        sync.Mutex // guards below
	open      int
	waiting   *list.List // of *conn: those without a running handler, the longest waiting first
	addresses map[netip.Addr]int
}

func newConns(limit, perAddress int) *conns {
	return &conns{
		max: limit, perAddress: perAddress, room: make(chan struct{}, 1),
		waiting: list.New(), addresses: map[netip.Addr]int{},
	}
}

// conn is one connection. Writes fail when the client stalls.
type conn struct {
	net.Conn
	from netip.Addr    // the address it is counted for; zero: none
	end  func()        // cancels the context of its requests
	at   *list.Element // in waiting; guarded by conns.mu
	gone bool          // no longer counted; guarded by conns.mu
}

// connOf returns the connection that the listener gave to the server, below TLS.
func connOf(nc net.Conn) (*conn, bool) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	c, ok := nc.(*conn)
	return c, ok
}

// connKey is the key of a request's *conn in its context.
type connKey struct{}

// context returns the context for the requests of a connection.
func (s *conns) context(ctx context.Context, nc net.Conn) context.Context {
	if c, ok := connOf(nc); ok {
		ctx, c.end = context.WithCancel(context.WithValue(ctx, connKey{}, c))
	}
	return ctx
}

// admit counts a new connection, if there is room or a waiting connection can be closed.
func (s *conns) admit(c *conn) bool {
	s.mu.Lock()
	var oldest *conn
	if s.open >= s.max {
		front := s.waiting.Front()
		if front == nil {
			s.mu.Unlock()
			return false
		}
		oldest = front.Value.(*conn)
		s.forget(oldest)
	}
	s.open++
	c.at = s.waiting.PushBack(c)
	s.mu.Unlock()
	if oldest != nil {
		oldest.Conn.Close()
	}
	return true
}

// forget stops counting a connection. s.mu is held.
func (s *conns) forget(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	if c.end != nil {
		c.end()
	}
	s.open--
	s.unwait(c)
	s.drop(c.from)
}

func (s *conns) unwait(c *conn) {
	if c.at != nil {
		s.waiting.Remove(c.at)
		c.at = nil
	}
}

// wait marks the connection of a request as waiting, for its client or for a turn, until
// over is called. While it waits it may be closed to make room.
func (s *conns) wait(ctx context.Context) (over func()) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return func() {}
	}
	s.mu.Lock()
	if !c.gone && c.at == nil {
		c.at = s.waiting.PushBack(c)
	}
	s.mu.Unlock()
	s.hint()
	return func() {
		s.mu.Lock()
		s.unwait(c)
		s.mu.Unlock()
	}
}

// hint wakes the listener if it waits for room.
func (s *conns) hint() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// changed is the http.Server's ConnState hook.
func (s *conns) changed(nc net.Conn, state http.ConnState) {
	c, ok := connOf(nc)
	if !ok {
		return
	}
	s.mu.Lock()
	switch state {
	case http.StateActive:
		s.unwait(c)
	case http.StateIdle:
		if !c.gone {
			c.at = s.waiting.PushBack(c)
		}
	case http.StateClosed, http.StateHijacked:
		s.forget(c)
	}
	s.mu.Unlock()
	if state != http.StateActive {
		s.hint()
	}
}

// enter counts a connection or request of an address. It returns false if the address has
// reached its limit.
func (s *conns) enter(a netip.Addr) bool {
	a = share(a)
	if s.perAddress == 0 || !a.IsValid() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addresses[a] >= s.perAddress {
		return false
	}
	s.addresses[a]++
	return true
}

func (s *conns) leave(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(a)
}

// drop undoes enter. s.mu is held.
func (s *conns) drop(a netip.Addr) {
	a = share(a)
	if s.perAddress == 0 || !a.IsValid() {
		return
	}
	if s.addresses[a]--; s.addresses[a] <= 0 {
		delete(s.addresses, a)
	}
}

// share returns the address for which a is counted: for IPv6 its /64, which is what one
// user gets. Loopback addresses are not counted.
func share(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() {
		return netip.Addr{}
	}
	if a.Is6() {
		p, _ := a.Prefix(64) // of a valid IPv6 address it is one
		return p.Addr()
	}
	return a
}

// listener accepts connections within the limits of the door.
type listener struct {
	net.Listener
	door   *Door
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	all := l.door.conns
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc}
		if a := remote(nc.RemoteAddr().String()); !contains(l.door.rules.Load().trusted, a) {
			c.from = a
		}
		if !all.enter(c.from) {
			nc.Close()
			continue
		}
		for !all.admit(c) {
			select {
			case <-all.room:
			case <-l.closed:
				all.leave(c.from)
				return nil, errors.Join(net.ErrClosed, nc.Close())
			}
		}
		return c, nil
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// stallTick is how often a blocked write is checked.
const stallTick = Stall / 20

// Write fails when the client has read nothing for Stall.
func (c *conn) Write(p []byte) (int, error) {
	written := 0
	moved := time.Now()
	for {
		if err := c.SetWriteDeadline(time.Now().Add(stallTick)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:])
		written += n
		if n > 0 {
			moved = time.Now()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(moved) >= Stall {
			return written, err
		}
	}
}

// CloseWrite lets the server finish an answer before the client has sent its whole
// request.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
