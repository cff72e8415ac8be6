// Package door is the outer side of every HTTP server of a node: what strangers
// cause there is bounded, whatever stands behind.
//
// A client that stops sending its request or taking its answer is dropped after
// Stall; an answer that has nothing to say yet goes on. When the turns are taken,
// requests wait, and those that command the node have a reserve. When the
// connections are taken, the one that has waited longest, for its client or for a
// turn, makes room.
package door

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// Limits of every door.
const (
	Stall             = 20 * time.Second // without a byte, while one is awaited
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	lingerTimeout     = time.Second // for what is left of a body that nobody reads
)

// Class says how a request is let in.
type Class int

const (
	Ordinary Class = iota // waits for its turn
	Control               // may use the reserve
	Instant               // is answered from memory: needs no turn
)

// Options are the limits of one door.
type Options struct {
	Conns      int // at once
	PerAddress int // connections of one client, or its requests through a trusted proxy; 0: no limit
	Requests   int // that have their turn at once; 0: no limit
	Reserve    int // more of them, for Control
	// Class tells the class of a request. One whose body is not there yet is
	// Ordinary whatever this says, since it waits for its client. nil: all are.
	Class func(*http.Request) Class
	// Unhurried tells which requests may pause for longer than Stall while they
	// send their body. nil: none.
	Unhurried func(*http.Request) bool
	// NoBodies says that nothing behind the door reads a body: one that is long
	// ends the connection.
	NoBodies bool
	Log      *slog.Logger // nil: nothing is logged
}

// Door is one HTTP server.
type Door struct {
	o      Options
	rules  atomic.Pointer[rules]
	server *http.Server
	conns  *conns
	turns  *turns
}

// rules are what may change while a door is open.
type rules struct {
	handler http.Handler
	trusted []netip.Prefix
}

// New makes a door to what h serves. Proxies in trusted are believed when they
// tell the address of a client.
func New(o Options, h http.Handler, trusted []netip.Prefix) *Door {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Door{o: o, conns: newConns(o.Conns, o.PerAddress), turns: newTurns(o)}
	d.Set(h, trusted)
	d.server = &http.Server{
		Handler:           http.HandlerFunc(d.serve),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ConnContext:       d.conns.context,
		ConnState:         d.conns.changed,
	}
	return d
}

// Set replaces what New was given, for the requests that come from now on.
func (d *Door) Set(h http.Handler, trusted []netip.Prefix) { d.rules.Store(&rules{h, trusted}) }

// Serve answers what comes to l, until Close.
func (d *Door) Serve(l net.Listener) error {
	return d.server.Serve(&listener{Listener: l, door: d, closed: make(chan struct{})})
}

// Close waits for the requests that are going on, but not longer than ctx; then
// it ends them.
func (d *Door) Close(ctx context.Context) error {
	if err := d.server.Shutdown(ctx); err != nil {
		return d.server.Close()
	}
	return nil
}

// serve lets one request in.
func (d *Door) serve(w http.ResponseWriter, r *http.Request) {
	rules := d.rules.Load()
	r = r.WithContext(r.Context()) // a copy: the server goes on with its own
	complete := true
	if r.ContentLength != 0 {
		b := d.body(w, r)
		defer b.end()
		r.Body = b
		complete = b.fill()
		if b.stalled.Load() || !complete && d.o.NoBodies {
			panic(http.ErrAbortHandler)
		}
	}
	if client, ok := proxied(r, rules.trusted); ok {
		r.RemoteAddr = net.JoinHostPort(client.String(), "0")
		if !d.conns.enter(client) {
			refuse(w, http.StatusTooManyRequests, "too many requests at once from this address")
			return
		}
		defer d.conns.leave(client)
	}
	class := Ordinary
	if d.o.Class != nil && complete {
		class = d.o.Class(r)
	}
	done, ok := d.turns.try(class)
	if !ok {
		over := d.conns.wait(r.Context())
		done, ok = d.turns.wait(r.Context(), class)
		over()
	}
	if !ok {
		refuse(w, http.StatusServiceUnavailable, "too many requests at once")
		return
	}
	defer done()
	rules.handler.ServeHTTP(w, r)
}

// maxAhead is how much of a body is read before the turn of its request, in
// bytes: a record is smaller.
const maxAhead = 16 << 10

// body is the body of a request, whose client must send something from time to
// time until it ends. From then on the server reads the connection to see that
// the client is there, which may take as long as the answer does.
type body struct {
	io.ReadCloser
	ctx     context.Context
	conns   *conns
	control *http.ResponseController
	stall   time.Time // when the read that comes ends if nothing came before; zero: never
	ahead   []byte    // was read and is to be given

	ended, stalled atomic.Bool
}

func (d *Door) body(w http.ResponseWriter, r *http.Request) *body {
	b := &body{ReadCloser: r.Body, ctx: r.Context(), conns: d.conns, control: http.NewResponseController(w)}
	if d.o.Unhurried == nil || !d.o.Unhurried(r) {
		b.stall = time.Now().Add(Stall)
		b.deadline(b.stall) // also for the server, if nobody reads it
	}
	return b
}

// deadline is that of reading. A connection that is closed has none, and fails
// the read.
func (b *body) deadline(t time.Time) { _ = b.control.SetReadDeadline(t) }

// fill reads ahead, unless the client may take its time, and reports whether all
// of the body is there.
func (b *body) fill() bool {
	p := make([]byte, maxAhead)
	n := 0
	for n < len(p) && !b.ended.Load() && !b.stall.IsZero() {
		m, err := b.receive(p[n:])
		n += m
		if err != nil {
			break // what failed, fails again when it is read
		}
	}
	b.ahead = p[:n]
	return b.ended.Load()
}

func (b *body) Read(p []byte) (int, error) {
	if len(b.ahead) > 0 {
		n := copy(p, b.ahead)
		b.ahead = b.ahead[n:]
		return n, nil
	}
	return b.receive(p)
}

// receive reads from the client.
func (b *body) receive(p []byte) (int, error) {
	switch {
	case b.ended.Load():
		return 0, io.EOF
	case b.stalled.Load():
		return 0, os.ErrDeadlineExceeded
	}
	if !b.stall.IsZero() {
		// While the request waited for its turn, the client could send.
		if soon := time.Now().Add(lingerTimeout); b.stall.Before(soon) {
			b.stall = soon
		}
		b.deadline(b.stall)
		defer b.conns.wait(b.ctx)()
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		if !b.ended.Swap(true) {
			b.deadline(time.Time{})
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.stalled.Store(true)
	}
	if !b.stall.IsZero() {
		b.stall = time.Now().Add(Stall)
	}
	return n, err
}

// end is called after the answer. A client that stalled gets none, and what is
// left of a body does not hold the connection.
func (b *body) end() {
	switch {
	case b.stalled.Load():
		panic(http.ErrAbortHandler)
	case !b.ended.Load():
		b.deadline(time.Now().Add(lingerTimeout))
	}
}

// retryAfter is how long those wait who are refused, in seconds.
const retryAfter = "5"

func refuse(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Connection", "close") // others are waiting for one
	h.Set("Retry-After", retryAfter)
	http.Error(w, text, status)
}
