// Package door is the outer layer of every HTTP server of a node. It bounds the load
// that clients can cause, whatever the handler does.
//
// A client that stops sending its request or reading its answer is dropped after
// Stall; a handler that has nothing to send yet is not limited. When all turns are in
// use, requests wait, and Control requests have a reserve. When all connections are in
// use, the one that has waited longest, for its client or for a turn, is closed.
package door

import (
	"context"
	"crypto/tls"
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
	Stall             = 20 * time.Second // without progress in reading or writing
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	lingerTimeout     = time.Second // for the rest of a body that the handler does not read
)

// Class says how a request gets its turn.
type Class int

const (
	Ordinary Class = iota // waits for its turn
	Control               // may use the reserve
	Instant               // answered from memory, needs no turn
)

// Options are the limits of one door.
type Options struct {
	Conns      int // maximum number of connections
	PerAddress int // maximum per client of connections, or of requests through a trusted proxy; 0: no limit
	Requests   int // maximum number of concurrent requests; 0: no limit
	Reserve    int // additional concurrent Control requests
	// Class returns the class of a request. A request whose body has not arrived yet
	// is always Ordinary, since it waits for its client. nil: all are Ordinary.
	Class func(*http.Request) Class
	// Unhurried reports which requests may pause for longer than Stall while sending
	// their body. nil: none.
	Unhurried func(*http.Request) bool
	// NoBodies says that the handler reads no bodies but short ones: one beyond maxAhead is
	// refused.
	NoBodies bool
	// TLS is what connections are encrypted with; nil: they are not. They speak HTTP/1.1, in
	// which a connection is one client's request at a time, as the limits count them.
	TLS *tls.Config
	Log *slog.Logger // nil: nothing is logged
	// Timed wraps handlers to measure them; nil: they are not.
	Timed func(http.Handler) http.Handler
}

// Door is one HTTP server.
type Door struct {
	o      Options
	rules  atomic.Pointer[rules]
	server *http.Server
	conns  *conns
	turns  *turns
}

// rules are the settings that may change while the server runs.
type rules struct {
	handler http.Handler
	trusted []netip.Prefix
}

// New returns a door in front of h. Client addresses in X-Forwarded-For are accepted
// from the proxies in trusted.
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
		TLSConfig:         o.TLS,
		Protocols:         new(http.Protocols),
	}
	d.server.Protocols.SetHTTP1(true)
	return d
}

// Set replaces the handler and the trusted proxies for all further requests.
func (d *Door) Set(h http.Handler, trusted []netip.Prefix) {
	if d.o.Timed != nil {
		h = d.o.Timed(h)
	}
	d.rules.Store(&rules{h, trusted})
}

// Serve serves connections from l until Close.
func (d *Door) Serve(l net.Listener) error {
	own := &listener{Listener: l, door: d, closed: make(chan struct{})}
	if d.o.TLS != nil {
		return d.server.ServeTLS(own, "", "")
	}
	return d.server.Serve(own)
}

// Close waits for running requests until ctx ends, then closes their connections.
func (d *Door) Close(ctx context.Context) error {
	if err := d.server.Shutdown(ctx); err != nil {
		return d.server.Close()
	}
	return nil
}

// serve handles one request.
func (d *Door) serve(w http.ResponseWriter, r *http.Request) {
	rules := d.rules.Load()
	r = r.WithContext(r.Context()) // a copy: the server goes on with its own
	complete := true
	if r.ContentLength != 0 {
		b := d.body(w, r)
		defer b.end()
		r.Body = b
		complete = b.fill()
		switch {
		case b.stalled.Load():
			panic(http.ErrAbortHandler)
		case !complete && d.o.NoBodies:
			w.Header().Set("Connection", "close") // the rest is not read
			http.Error(w, "the body is too long", http.StatusRequestEntityTooLarge)
			return
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

// maxAhead is how many bytes of a body are read before the request gets its turn. A
// record is smaller.
const maxAhead = 16 << 10

// body is a request body with a stall timeout until its end. After that, net/http reads
// the connection to notice when the client leaves, which must not time out.
type body struct {
	io.ReadCloser
	ctx     context.Context
	conns   *conns
	control *http.ResponseController
	stall   time.Time // deadline of the next read; zero: none
	ahead   []byte    // read ahead, not yet returned by Read

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

// deadline sets the read deadline. On a closed connection it fails, as the read will.
func (b *body) deadline(t time.Time) { _ = b.control.SetReadDeadline(t) }

// fill reads ahead, unless the request is unhurried, and reports whether the whole body
// has arrived.
func (b *body) fill() bool {
	p := make([]byte, maxAhead)
	n := 0
	for n < len(p) && !b.ended.Load() && !b.stall.IsZero() {
		m, err := b.receive(p[n:])
		n += m
		if err != nil {
			break // the next read returns the error again
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

// end is called after the handler. A client that stalled gets no answer, and an unread
// rest of the body does not keep the connection open.
func (b *body) end() {
	switch {
	case b.stalled.Load():
		panic(http.ErrAbortHandler)
	case !b.ended.Load():
		b.deadline(time.Now().Add(lingerTimeout))
	}
}

// retryAfter is the Retry-After of refused requests, in seconds.
const retryAfter = "5"

func refuse(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Connection", "close") // others are waiting for one
	h.Set("Retry-After", retryAfter)
	http.Error(w, text, status)
}
