package delegated

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// DefaultLookup is how long a [Handler] looks for something.
const DefaultLookup = 30 * time.Second

var (
	// ErrNotFound is returned by the functions of a [Handler] that found nothing.
	ErrNotFound = errors.New("routing: not found")

	// ErrRefused is returned by Take for a record that is not wanted here, whatever
	// it says.
	ErrRefused = errors.New("records of others are not taken here")
)

// NewerError is returned by Take if a newer record is known. Current is that record, or
// nil if nobody has it any more.
type NewerError struct{ Current *ipns.Record }

func (e *NewerError) Error() string {
	if e.Current == nil {
		return "a better record exists"
	}
	return fmt.Sprintf("a better record exists: sequence %d", e.Current.Sequence())
}

// LimitError is returned by the functions of a [Handler] if whoever asks or puts
// has had enough for now.
type LimitError struct {
	RetryAfter time.Duration
	Err        error
}

func (e *LimitError) Error() string { return e.Err.Error() }
func (e *LimitError) Unwrap() error { return e.Err }

// Handler serves the Delegated Routing V1 API. Its functions are called
// concurrently; those that are nil make their path one that is not supported.
type Handler struct {
	// Find returns the newest valid record of a name and when this node first saw
	// it, or ErrNotFound. It bounds its time itself, and should return the same pointer
	// for the same record: its answer is then prepared once.
	Find func(context.Context, ipns.Name) (*ipns.Record, time.Time, error)
	// Take takes a record that was opened, on behalf of whoever sent the request:
	// it is stored or on its way when Take returns nil. Its errors are *NewerError,
	// *LimitError, ErrRefused, and those of a failure. nil: PUT is not allowed.
	Take func(*http.Request, *ipns.Record) error
	// Providers yields who has content.
	Providers func(context.Context, cid.Cid) iter.Seq2[peer.AddrInfo, error]
	// Peer yields where a peer is: one element, or ErrNotFound.
	Peer func(context.Context, peer.ID) iter.Seq2[peer.AddrInfo, error]
	// Closest yields the peers of the DHT that are closest to a key.
	Closest func(context.Context, cid.Cid) iter.Seq2[peer.AddrInfo, error]

	// Opener opens what is put; it must be set if Take is.
	Opener *routing.Opener
	// Lookup bounds how long Providers, Peer and Closest look; 0: DefaultLookup.
	Lookup time.Duration
	// Now tells the time; nil: time.Now.
	Now func() time.Time

	looking atomic.Int64 // lookups of peers that are going on
	answers answers
}

// Headers that pages may send and read.
const (
	allowedHeaders = "Content-Type, Accept, If-None-Match"
	exposedHeaders = "Etag, Cache-Control, Expires, Last-Modified, Retry-After"
	preflightAge   = "600" // seconds
)

// methods are what may be done with a path, as three headers say it.
type methods struct {
	put     bool
	allowed []string // one element
}

var (
	readMethods  = methods{false, []string{"GET, HEAD, OPTIONS"}}
	writeMethods = methods{true, []string{"GET, HEAD, PUT, OPTIONS"}}
)

func (m methods) allow(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodPut && m.put
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serve, m := h.route(r.URL.Path)
	switch {
	case serve == nil && strings.HasPrefix(r.URL.Path, basePath):
		allowPages(w.Header(), m)
		plain(w, http.StatusNotImplemented, "not supported by this server")
		return
	case serve == nil:
		plain(w, http.StatusNotFound, "404 page not found")
		return
	}
	allowPages(w.Header(), m)
	switch {
	case m.allow(r.Method):
		serve(w, r)
	case r.Method == http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Headers", allowedHeaders)
		w.Header().Set("Access-Control-Max-Age", preflightAge)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header()["Allow"] = m.allowed
		plain(w, http.StatusMethodNotAllowed, "405 method not allowed: use "+m.allowed[0])
	}
}

// Values of headers that all answers share. Nobody changes them.
var (
	anyOrigin = []string{"*"}
	exposed   = []string{exposedHeaders}
	byAccept  = []string{"Accept"}
)

// allowPages lets pages of any origin read: there is nothing here that a page
// could not ask for itself.
func allowPages(head http.Header, m methods) {
	head["Access-Control-Allow-Origin"] = anyOrigin
	if m.allowed != nil {
		head["Access-Control-Allow-Methods"] = m.allowed
	}
	head["Access-Control-Expose-Headers"] = exposed
}

// route returns what serves a path and with which methods; nil if nothing does.
func (h *Handler) route(path string) (serve http.HandlerFunc, m methods) {
	switch {
	case below(path, namePath) && h.Find != nil:
		if h.Take == nil {
			return h.name, readMethods
		}
		return h.name, writeMethods
	case below(path, providersPath) && h.Providers != nil:
		return h.limited(h.providers), readMethods
	case below(path, peersPath) && h.Peer != nil:
		return h.limited(h.peers), readMethods
	case below(path, closestPath) && h.Closest != nil:
		return h.limited(h.closest), readMethods
	}
	return nil, methods{}
}

// below reports whether a path is one element under dir.
func below(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && rest != "" && strings.IndexByte(rest, '/') < 0
}

func (h *Handler) now() time.Time {
	if h.Now == nil {
		return time.Now()
	}
	return h.Now()
}

func (h *Handler) context(r *http.Request) (context.Context, context.CancelFunc) {
	limit := h.Lookup
	if limit <= 0 {
		limit = DefaultLookup
	}
	return context.WithTimeout(r.Context(), limit)
}

// notFoundCaching is for how long caches may say that there is nothing.
const notFoundCaching = "public, max-age=15, stale-while-revalidate=60, stale-if-error=3600"

// fail answers a lookup that found nothing or failed. Nothing found is no failure:
// it is 200 with another media type (IPIP-513).
func fail(w http.ResponseWriter, err error) {
	text := "delegate error: " + err.Error()
	var limit *LimitError
	switch {
	case errors.As(err, &limit):
		seconds := max(1, int64((limit.RetryAfter+time.Second-1)/time.Second))
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
		plain(w, http.StatusTooManyRequests, err.Error())
	case errors.Is(err, ErrNotFound):
		w.Header().Set("Cache-Control", notFoundCaching)
		w.Header().Set("Vary", "Accept")
		plain(w, http.StatusOK, text)
	case errors.Is(err, context.DeadlineExceeded):
		plain(w, http.StatusGatewayTimeout, text)
	default:
		plain(w, http.StatusInternalServerError, text)
	}
}

func plain(w http.ResponseWriter, status int, text string) {
	head := w.Header()
	head.Set("Content-Type", "text/plain; charset=utf-8")
	head.Set("X-Content-Type-Options", "nosniff")
	if status >= http.StatusBadRequest {
		head.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
