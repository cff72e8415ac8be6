package door

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// street provides the connections of a door's clients.
type street struct {
	conns chan net.Conn
	once  chan struct{}
}

func (s *street) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.once:
		return nil, net.ErrClosed
	}
}

func (s *street) Close() error {
	select {
	case <-s.once:
	default:
		close(s.once)
	}
	return nil
}
func (s *street) Addr() net.Addr { return address("127.0.0.1:80") }

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

// from is the server's end of a connection from an address.
type from struct {
	net.Conn
	addr address
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// visit connects to the door from an address.
func (s *street) visit(addr string) net.Conn {
	client, server := net.Pipe()
	s.conns <- from{server, address(addr)}
	synctest.Wait()
	return client
}

const local = "127.0.0.1:9"

// open serves h through a door in its own bubble and closes it after f.
func open(t *testing.T, o Options, trusted []netip.Prefix, h http.HandlerFunc, f func(*street)) {
	t.Helper()
	if o.Conns == 0 {
		o.Conns = 100
	}
	synctest.Test(t, func(t *testing.T) {
		d := New(o, h, trusted)
		s := &street{conns: make(chan net.Conn), once: make(chan struct{})}
		ended := make(chan error, 1)
		go func() { ended <- d.Serve(s) }()
		f(s)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = d.Close(ctx) // some clients never finish
		<-ended
	})
}

func get(path string, header ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(header, "\r\n"), "\r\n")
}

// post returns a request with a body of size bytes, of which sent is already there.
func post(path string, size int, sent string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, size, sent)
}

// status sends a request and returns the status of the answer; 0 if there is none.
func status(c net.Conn, request string) int {
	go func() { _, _ = io.WriteString(c, request) }() // ends with the connection
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	return r.StatusCode
}

// isClosed reports whether the server has closed a connection.
func isClosed(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := io.Copy(io.Discard, c)
	return err == nil
}

func TestStalledUploadEnds(t *testing.T) {
	for _, there := range []int{1, maxAhead + 1} { // before its turn, and during it
		open(t, Options{}, nil, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		}, func(s *street) {
			c := s.visit(local)
			var ended atomic.Pointer[time.Time]
			var answer atomic.Int64
			go func() {
				n, _ := io.Copy(io.Discard, c) // until the server closes it
				now := time.Now()
				answer.Store(n)
				ended.Store(&now)
			}()
			_, _ = io.WriteString(c, post("/", 1<<20, strings.Repeat("a", there)))
			for range 10 { // slow progress
				time.Sleep(Stall - time.Second)
				if _, err := io.WriteString(c, "b"); err != nil {
					t.Fatal("ended while it made progress:", err)
				}
			}
			last := time.Now()
			time.Sleep(2 * Stall)
			synctest.Wait()
			if at := ended.Load(); at == nil || at.Sub(last) != Stall || answer.Load() != 0 {
				t.Errorf("%d bytes: a stalled upload ended at %v, with %d bytes of an answer", there, at, answer.Load())
			}
		})
	}
}

func TestUnhurriedUploadMayPause(t *testing.T) {
	unhurried := func(*http.Request) bool { return true }
	open(t, Options{Unhurried: unhurried}, nil, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(500)
		}
	}, func(s *street) {
		c := s.visit(local)
		_, _ = io.WriteString(c, post("/", 2, "a"))
		time.Sleep(time.Hour)
		if got := status(c, "b"); got != 200 {
			t.Errorf("%d after a pause of an hour", got)
		}
	})
}

func TestAnswerThatHasNothingToSayGoesOn(t *testing.T) {
	open(t, Options{}, nil, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(time.Hour):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}, func(s *street) {
		for _, request := range []string{get("/"), post("/", 1, "a")} {
			if got := status(s.visit(local), request); got != 200 {
				t.Errorf("%d after an hour of silence", got)
			}
		}
	})
}

func TestBlockedAnswerEnds(t *testing.T) {
	var failed atomic.Pointer[time.Time]
	open(t, Options{}, nil, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				now := time.Now()
				failed.Store(&now)
				return
			}
		}
	}, func(s *street) {
		c := s.visit(local)
		start := time.Now()
		_, _ = io.WriteString(c, get("/"))
		for range 10 { // a slow reader does not stall
			time.Sleep(Stall / 2)
			_, _ = io.ReadFull(c, make([]byte, 10))
		}
		synctest.Wait()
		if failed := failed.Load(); failed != nil {
			t.Fatalf("ended after %v while the client read", failed.Sub(start))
		}
		last := time.Now()
		time.Sleep(2 * Stall)
		synctest.Wait()
		if d := failed.Load().Sub(last); d < Stall || d > Stall+2*stallTick {
			t.Errorf("a blocked answer ended after %v", d)
		}
	})
}

func TestBodyThatNobodyReadsDoesNotHoldTheConnection(t *testing.T) {
	for _, o := range []Options{{NoBodies: true}, {}} {
		open(t, o, nil, func(http.ResponseWriter, *http.Request) {}, func(s *street) {
			c := s.visit(local)
			go func() { _, _ = io.WriteString(c, post("/", 1000, "a")) }() // ends with the connection
			var closed atomic.Bool
			go func() {
				_, _ = io.Copy(io.Discard, c)
				closed.Store(true)
			}()
			time.Sleep(Stall + 2*lingerTimeout)
			synctest.Wait()
			if !closed.Load() {
				t.Errorf("%+v: still open", o)
			}
		})
	}
	// A body that is too long is refused.
	open(t, Options{NoBodies: true}, nil, func(http.ResponseWriter, *http.Request) {
		t.Error("the handler was called")
	}, func(s *street) {
		if got := status(s.visit(local), post("/", maxAhead+1, strings.Repeat("a", maxAhead+1))); got != http.StatusRequestEntityTooLarge {
			t.Errorf("too long: %d", got)
		}
	})
	// A body that has arrived is fine.
	open(t, Options{NoBodies: true}, nil, func(http.ResponseWriter, *http.Request) {}, func(s *street) {
		c := s.visit(local)
		if a, b := status(c, post("/", 3, "abc")), status(c, post("/", 3, "abc")); a != 200 || b != 200 {
			t.Errorf("%d, then %d", a, b)
		}
	})
}

func TestRequestsThatWaitMakeRoom(t *testing.T) {
	for what, request := range map[string]string{"a turn": get("/"), "its client": post("/read", 100, "a")} {
		open(t, Options{Conns: 3, Requests: 2, Class: func(r *http.Request) Class {
			return map[string]Class{"/instant": Instant}[r.URL.Path]
		}}, nil, func(_ http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/read":
				_, _ = io.Copy(io.Discard, r.Body)
			case "/hold":
				<-r.Context().Done()
			}
		}, func(s *street) {
			hold := []string{get("/hold"), get("/hold")}
			if what == "its client" {
				hold = hold[:1]
			}
			for _, r := range hold {
				_, _ = io.WriteString(s.visit(local), r)
			}
			var last net.Conn
			for range 3 {
				last = s.visit(local)
				_, _ = io.WriteString(last, request)
				synctest.Wait()
			}
			if got := status(s.visit(local), get("/instant")); got != 200 {
				t.Errorf("while requests wait for %s: %d", what, got)
			}
			if what == "a turn" && !isClosed(last) {
				t.Error("the request that waited for a turn did not make room")
			}
		})
	}
}

func TestConnectionsWithoutARequestMakeRoom(t *testing.T) {
	open(t, Options{Conns: 3}, nil, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			<-r.Context().Done()
		}
	}, func(s *street) {
		held := s.visit(local)
		_, _ = io.WriteString(held, get("/held"))
		silent := s.visit(local)
		idle := s.visit(local)
		if got := status(idle, get("/")); got != 200 {
			t.Fatal(got)
		}
		synctest.Wait()
		if got := status(s.visit(local), get("/")); got != 200 {
			t.Errorf("a fourth client got %d", got)
		}
		if !isClosed(silent) || isClosed(idle) || isClosed(held) {
			t.Errorf("who went: silent %v, idle %v, held %v; the first was to", isClosed(silent), isClosed(idle), isClosed(held))
		}
		if got := status(s.visit(local), get("/")); got != 200 || !isClosed(idle) || isClosed(held) {
			t.Errorf("a fifth client got %d", got)
		}
		held.Close()
	})
}

func TestControlIsAnsweredWhileOrdinaryRequestsCrowdTheDoor(t *testing.T) {
	class := func(r *http.Request) Class {
		return map[string]Class{"/control": Control, "/instant": Instant}[r.URL.Path]
	}
	var held atomic.Int32
	o := Options{Requests: 2, Reserve: 1, Class: class}
	open(t, o, nil, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("hold") {
			held.Add(1)
			<-r.Context().Done()
		}
	}, func(s *street) {
		var crowd []net.Conn
		hold := func(request string) {
			c := s.visit(local)
			_, _ = io.WriteString(c, request)
			synctest.Wait()
			crowd = append(crowd, c)
		}
		hold(get("/x?hold"))
		hold(get("/x?hold"))
		hold(get("/x?hold")) // waits
		if n := held.Load(); n != 2 {
			t.Fatalf("%d ordinary requests at once", n)
		}
		if got := status(s.visit(local), get("/control")); got != 200 {
			t.Errorf("control got %d", got)
		}
		if got := status(s.visit(local), post("/control", 3, "abc")); got != 200 {
			t.Errorf("control with its body got %d", got)
		}
		hold(post("/control?hold", 1<<20, ""))                            // waits for its client
		hold(post("/control?hold", 1<<20, strings.Repeat("a", maxAhead))) // waits for an ordinary turn
		if n := held.Load(); n != 2 {
			t.Errorf("%d requests at once", n)
		}
		hold(get("/control?hold"))
		if got := status(s.visit(local), get("/instant")); got != 200 {
			t.Errorf("instant got %d", got)
		}
		late := s.visit(local)
		start := time.Now()
		if got := status(late, get("/x")); got != 503 || time.Since(start) != waitTimeout {
			t.Errorf("after %v without a turn: %d", time.Since(start), got)
		}
		hold(get("/x?hold")) // waits
		crowd[0].Close()
		synctest.Wait()
		if n := held.Load(); n != 4 {
			t.Errorf("the request that waited never had its turn: %d", n)
		}
		for _, c := range crowd {
			c.Close()
		}
		synctest.Wait()
		if got := status(s.visit(local), get("/x")); got != 200 {
			t.Errorf("after the crowd: %d", got)
		}
	})
}

func TestOneAddressHasItsShare(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	open(t, Options{PerAddress: 2}, trusted, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Client", r.RemoteAddr)
		if r.URL.Path == "/hold" {
			<-r.Context().Done()
		}
	}, func(s *street) {
		for addr, limited := range map[string]bool{
			"192.0.2.1:7":          true,
			"[2001:db8::1]:7":      true,
			"[::ffff:192.0.2.9]:7": true,
			local:                  false,
			"[::1]:7":              false,
			"[::ffff:127.0.0.1]:7": false,
			"10.1.2.3:7":           false,
			"@":                    false, // a Unix socket
		} {
			var all []net.Conn
			for range 3 {
				all = append(all, s.visit(addr))
			}
			if isClosed(all[0]) || isClosed(all[2]) != limited {
				t.Errorf("%s: third connection closed: %v", addr, isClosed(all[2]))
			}
			for _, c := range all {
				c.Close()
			}
			synctest.Wait()
			again := s.visit(addr)
			if isClosed(again) {
				t.Errorf("%s: the share is not released", addr)
			}
			again.Close()
			synctest.Wait()
		}
		// One /64 counts as one client.
		a, b, c := s.visit("[2001:db8::1]:7"), s.visit("[2001:db8::2]:7"), s.visit("[2001:db8::3]:7")
		if isClosed(b) || !isClosed(c) {
			t.Error("the addresses of one /64 are counted separately")
		}
		a.Close()
		b.Close()
		// Behind a proxy, requests are counted.
		header := "X-Forwarded-For: 203.0.113.5"
		for range 2 {
			_, _ = io.WriteString(s.visit("10.0.0.1:7"), get("/hold", header))
		}
		synctest.Wait()
		if got := status(s.visit("10.0.0.1:7"), get("/", header)); got != 429 {
			t.Errorf("a third request of a client of the proxy got %d", got)
		}
		if got := status(s.visit("10.0.0.1:7"), get("/", "X-Forwarded-For: 203.0.113.6")); got != 200 {
			t.Errorf("another client got %d", got)
		}
	})
}

func TestClientIsTheLastThatNoTrustedProxyIs(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct{ peer, header, want string }{
		{"10.0.0.1:5", "203.0.113.5", "203.0.113.5"},
		{"10.0.0.1:5", "1.1.1.1, 203.0.113.5", "203.0.113.5"},
		{"10.0.0.1:5", "1.1.1.1, 203.0.113.5, 10.0.0.7", "203.0.113.5"},
		{"10.0.0.1:5", "10.0.0.8,10.0.0.7", "10.0.0.8"},
		{"10.0.0.1:5", "unknown, 10.0.0.7", "10.0.0.7"},
		{"10.0.0.1:5", "203.0.113.5:1234", "203.0.113.5"},
		{"10.0.0.1:5", "2001:db8::1", "2001:db8::1"},
		{"[::1]:5", "::ffff:203.0.113.5", "203.0.113.5"},
		{"10.0.0.1:5", "", ""},
		{"10.0.0.1:5", "nobody", ""},
		{"192.0.2.1:5", "203.0.113.5", ""},
		{"@", "203.0.113.5", ""},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": {c.header}}}
		a, ok := proxied(r, trusted)
		if ok != (c.want != "") || ok && a.String() != c.want {
			t.Errorf("%s through %s: %v, %v, want %q", c.header, c.peer, a, ok, c.want)
		}
	}
}
