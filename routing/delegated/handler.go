package delegated

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"slices"
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
	// it, or ErrNotFound.
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
	// Lookup bounds how long Find and the others look; 0: DefaultLookup.
	Lookup time.Duration
	// Now tells the time; nil: time.Now.
	Now func() time.Time

	looking atomic.Int64 // lookups of peers that are going on
}

// Headers that pages may send and read.
const (
	allowedHeaders = "Content-Type, Accept, If-None-Match"
	exposedHeaders = "Etag, Cache-Control, Expires, Last-Modified, Retry-After"
	preflightAge   = "600" // seconds
)

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serve, methods := h.route(r.URL.Path)
	switch {
	case serve == nil && strings.HasPrefix(r.URL.Path, basePath):
		allowPages(w.Header(), methods)
		plain(w, http.StatusNotImplemented, "not supported by this server")
		return
	case serve == nil:
		plain(w, http.StatusNotFound, "404 page not found")
		return
	}
	allowPages(w.Header(), methods)
	switch {
	case r.Method == http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Headers", allowedHeaders)
		w.Header().Set("Access-Control-Max-Age", preflightAge)
		w.WriteHeader(http.StatusNoContent)
	case !slices.Contains(strings.Split(methods, ", "), r.Method):
		w.Header().Set("Allow", methods)
		plain(w, http.StatusMethodNotAllowed, "405 method not allowed: use "+methods)
	default:
		serve(w, r)
	}
}

// allowPages lets pages of any origin read: there is nothing here that a page
// could not ask for itself.
func allowPages(head http.Header, methods string) {
	head.Set("Access-Control-Allow-Origin", "*")
	if methods != "" {
		head.Set("Access-Control-Allow-Methods", methods)
	}
	head.Set("Access-Control-Expose-Headers", exposedHeaders)
}

const (
	readMethods  = "GET, HEAD, OPTIONS"
	writeMethods = "GET, HEAD, PUT, OPTIONS"
)

// route returns what serves a path and with which methods; nil if nothing does.
func (h *Handler) route(path string) (serve http.HandlerFunc, methods string) {
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
	return nil, ""
}

// below reports whether a path is one element under dir.
func below(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && rest != "" && !strings.Contains(rest, "/")
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

// name serves /routing/v1/ipns/{name}.
func (h *Handler) name(w http.ResponseWriter, r *http.Request) {
	name, err := parseName(strings.TrimPrefix(r.URL.Path, namePath))
	if err != nil {
		plain(w, http.StatusBadRequest, err.Error())
		return
	}
	if r.Method == http.MethodPut {
		h.put(w, r, name)
		return
	}
	if !accepts(r.Header, ipns.RecordMediaType) {
		plain(w, http.StatusNotAcceptable, "content type in 'Accept' header is not supported, retry with '"+ipns.RecordMediaType+"'")
		return
	}
	ctx, cancel := h.context(r)
	defer cancel()
	rec, at, err := h.Find(ctx, name)
	if err == nil && rec.Expired(h.now()) {
		err = ErrNotFound // it ended while it was being found
	}
	if err != nil {
		fail(w, err)
		return
	}
	h.writeRecord(w, r, rec, at)
}

// parseName reads a name as it stands in a path. Peer ids in base58 are names too.
func parseName(text string) (ipns.Name, error) {
	name, err := ipns.ParseName(text)
	if err == nil {
		return name, nil
	}
	if c, cerr := cid.Decode(text); cerr == nil && c.Type() != cid.Libp2pKey {
		return ipns.Name{}, fmt.Errorf("peer ID CID is not valid: %w", err)
	}
	return ipns.Name{}, fmt.Errorf("unable to parse name: %w", err)
}

// accepts reports whether the Accept header lets the media type through. None
// lets everything through.
func accepts(head http.Header, mediaType string) bool {
	values := head.Values("Accept")
	if len(values) == 0 {
		return true
	}
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			kind, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
				continue
			}
			if major, _, _ := strings.Cut(mediaType, "/"); kind == "*/*" || kind == mediaType || kind == major+"/*" {
				return true
			}
		}
	}
	return false
}

// writeRecord answers with a record, or says that the asker has it.
func (h *Handler) writeRecord(w http.ResponseWriter, r *http.Request, rec *ipns.Record, at time.Time) {
	raw := rec.Raw()
	etag := etagOf(rec)
	head := w.Header()
	head["Etag"] = []string{etag}
	head["Cache-Control"] = []string{cacheControl(rec, h.now())}
	head["Expires"] = []string{rec.EOL().UTC().Format(http.TimeFormat)}
	head["Last-Modified"] = []string{at.UTC().Format(http.TimeFormat)}
	head["Vary"] = []string{"Accept"}
	if matches(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	head["Content-Type"] = []string{ipns.RecordMediaType}
	head["Content-Disposition"] = []string{`attachment; filename="` + rec.Name().String() + `.ipns-record"`}
	head["Content-Length"] = []string{strconv.Itoa(len(raw))}
	if r.Method != http.MethodHead {
		_, _ = w.Write(raw) // the asker may be gone
	}
}

// etagOf is a strong validator: it follows from the bytes.
func etagOf(rec *ipns.Record) string {
	hash := rec.Hash()
	return `"` + hex.EncodeToString(hash[:16]) + `"`
}

// matches reports whether an If-None-Match names the etag. The comparison is the
// weak one, as it should be there.
func matches(values []string, etag string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			part = strings.TrimSpace(part)
			if part == "*" || strings.TrimPrefix(part, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// cacheControl lets caches keep a record for its TTL, and use it beyond that while
// nobody answers, but never after its EOL.
func cacheControl(rec *ipns.Record, now time.Time) string {
	left := int64(rec.EOL().Sub(now) / time.Second)
	if left <= 0 {
		return "no-store"
	}
	age := min(int64(rec.TTL()/time.Second), left)
	stale := strconv.FormatInt(left-age, 10)
	return "public, max-age=" + strconv.FormatInt(age, 10) + ", stale-while-revalidate=" + stale + ", stale-if-error=" + stale
}

// put takes a record that somebody sends.
func (h *Handler) put(w http.ResponseWriter, r *http.Request, name ipns.Name) {
	if !carries(r.Header, ipns.RecordMediaType) {
		plain(w, http.StatusNotAcceptable, "content type in 'Content-Type' header is missing or not supported, use '"+ipns.RecordMediaType+"'")
		return
	}
	tooLong := func() { plain(w, http.StatusRequestEntityTooLarge, "provided record is too long") }
	if r.ContentLength > ipns.MaxRecordSize {
		tooLong()
		return
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, ipns.MaxRecordSize+1))
	if err != nil {
		plain(w, http.StatusBadRequest, "provided record can't be read: "+err.Error())
		return
	}
	if len(raw) > ipns.MaxRecordSize {
		tooLong()
		return
	}
	rec, err := h.Opener.Open(name, raw)
	if err != nil {
		plain(w, http.StatusBadRequest, "provided record is invalid: "+err.Error())
		return
	}
	h.taken(w, h.Take(r, rec))
}

// taken answers a PUT by what Take said.
func (h *Handler) taken(w http.ResponseWriter, err error) {
	var newer *NewerError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case errors.As(err, &newer) && newer.Current == nil:
		plain(w, http.StatusConflict, err.Error())
	case errors.As(err, &newer):
		raw := newer.Current.Raw()
		w.Header().Set("Content-Type", ipns.RecordMediaType)
		w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write(raw)
	case errors.Is(err, ErrRefused):
		plain(w, http.StatusForbidden, err.Error())
	default:
		fail(w, err)
	}
}

// carries reports whether the body has the media type.
func carries(head http.Header, mediaType string) bool {
	for part := range strings.SplitSeq(head.Get("Content-Type"), ",") {
		if kind, _, err := mime.ParseMediaType(part); err == nil && kind == mediaType {
			return true
		}
	}
	return false
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
