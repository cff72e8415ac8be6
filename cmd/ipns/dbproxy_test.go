package main

import (
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// dbProxy is the way of one daemon to the database: a TCP port that leads to the socket of
// the server, and fails as networks do.
type dbProxy struct {
	listener net.Listener
	socket   string
	running  sync.WaitGroup

	mu    sync.Mutex // guards all below
	way   way
	moved chan struct{} // closed when way changes
	open  map[net.Conn]bool
	ended bool
}

// way is how the proxy carries what is sent.
type way struct {
	delay      time.Duration // of each piece
	cut        bool          // all connections are closed, and new ones at once
	noRequests bool          // what a daemon sends vanishes
	noAnswers  bool          // what the server sends vanishes
}

func (w way) vanishes(request bool) bool { return request && w.noRequests || !request && w.noAnswers }

// newDBProxy starts a proxy, which ends with the test.
func newDBProxy(t testing.TB, database string) *dbProxy {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &dbProxy{
		listener: l, socket: filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"),
		moved: make(chan struct{}), open: map[net.Conn]bool{},
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		p.set(way{cut: true})
		p.running.Wait()
	})
	return p
}

// url returns the URL of a database behind the proxy.
func (p *dbProxy) url(t testing.TB, database, user string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.User, u.RawQuery = p.listener.Addr().String(), url.User(user), "sslmode=disable"
	return u.String()
}

// set changes how the proxy carries what is sent. A connection of which something vanished
// is closed once nothing vanishes any more, as its next answer would be to another request.
func (p *dbProxy) set(w way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.way = w
	close(p.moved)
	p.moved = make(chan struct{})
	if w.cut {
		for c := range p.open {
			c.Close()
		}
	}
}

func (p *dbProxy) now() (w way, moved <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.way, p.moved
}

func (p *dbProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.socket)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.open[client], p.open[server] = true, true
		refuse := p.way.cut || p.ended
		p.mu.Unlock()
		if refuse {
			client.Close()
			server.Close()
		}
		p.running.Go(func() { p.carry(server, client, true) })
		p.running.Go(func() { p.carry(client, server, false) })
	}
}

// carry carries requests or answers of one connection until it ends.
func (p *dbProxy) carry(to, from net.Conn, requests bool) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		delete(p.open, to)
		delete(p.open, from)
		p.mu.Unlock()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		w, moved := p.now()
		if w.delay > 0 {
			select {
			case <-time.After(w.delay):
			case <-moved:
			}
		}
		vanished := false
		for w.vanishes(requests) {
			vanished = true
			<-moved
			w, moved = p.now()
		}
		if vanished {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
