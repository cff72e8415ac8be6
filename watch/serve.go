package watch

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Stall is how long a client may take to read what it was sent.
const Stall = 20 * time.Second

// Handler serves the changes of names by HTTP: GET with the names in the parameter name,
// and the position to resume from in the parameter since or the header Last-Event-ID. They
// come as Server-Sent Events, as a line of JSON each if the client accepts
// application/x-ndjson, or by WebSocket.
type Handler struct {
	Names *Names
	// Admit returns who asks, for the limits, and whether it may watch all names that this
	// node holds; or it answers the request itself, with ok false. nil: the address asks,
	// and it may not.
	Admit func(http.ResponseWriter, *http.Request) (caller string, all, ok bool)
	// Stranger reports whether a caller has shown no token; nil: none has not.
	Stranger func(caller string) bool
	// Still reports whether a request would still be admitted; nil: always.
	Still func(*http.Request) bool
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "changes of names are read by GET", http.StatusMethodNotAllowed)
		return
	}
	caller, all, ok := address(r), false, true
	if h.Admit != nil {
		caller, all, ok = h.Admit(w, r)
	}
	if !ok {
		return
	}
	req, err := request(r, all)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req.Caller, req.Stranger = caller, h.Stranger != nil && h.Stranger(caller)
	if h.Still != nil {
		req.Still = func() bool { return h.Still(r) }
	}
	switch {
	case IsSocket(r):
		h.Names.Socket(w, r, req, Event.JSON)
	case strings.Contains(r.Header.Get("Accept"), "application/x-ndjson"):
		h.Names.stream(w, r, req, "application/x-ndjson", appendLine)
	default:
		h.Names.stream(w, r, req, "text/event-stream", appendSSE)
	}
}

// request reads a request. all says that it may be about all names.
func request(r *http.Request, all bool) (Request, error) {
	q := r.URL.Query()
	req := Request{Since: recordstore.Position(q.Get("since"))}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		req.Since = recordstore.Position(id)
	}
	for _, text := range q["name"] {
		name, err := ipns.ParseName(text)
		if err != nil {
			return req, fmt.Errorf("the parameter name: %w", err)
		}
		req.Names = append(req.Names, name)
	}
	if len(req.Names) == 0 && !all {
		return req, errors.New("which names? add name=… to the address, once or more")
	}
	return req, nil
}

// address returns the address of a client without its port.
func address(r *http.Request) string {
	if i := strings.LastIndexByte(r.RemoteAddr, ':'); i > 0 {
		return r.RemoteAddr[:i]
	}
	return "unknown"
}

// stream answers a request with events, of which each is appended to a buffer by add.
func (n *Names) stream(w http.ResponseWriter, r *http.Request, req Request, kind string, add func([]byte, Event, bool) []byte) {
	control := http.NewResponseController(w)
	var b []byte
	first := true
	for e, err := range n.Read(r.Context(), req) {
		if err != nil {
			if first {
				Refuse(w, err)
			}
			return // the client is gone, or comes again with its position
		}
		if first {
			head := w.Header()
			head.Set("Content-Type", kind)
			head.Set("Cache-Control", "no-store")
			head.Set("X-Accel-Buffering", "no") // or nginx holds events back
			w.WriteHeader(http.StatusOK)
		}
		b = add(b, e, first)
		first = false
		if e.More && len(b) < maxBatch {
			continue
		}
		// A server that has no such deadline has one of its own.
		_ = control.SetWriteDeadline(time.Now().Add(Stall))
		if _, err = w.Write(b); err == nil {
			err = control.Flush()
		}
		if err != nil {
			return
		}
		if b = b[:0]; cap(b) > maxBatch {
			b = nil
		}
	}
}

// maxBatch is how many bytes of events are written at once, and kept for the next.
const maxBatch = 4096

func appendLine(b []byte, e Event, _ bool) []byte {
	return append(append(b, e.JSON()...), '\n')
}

// appendSSE appends a Server-Sent Event. One without data only says where to resume; a
// heartbeat is a comment too, since some proxies look for one.
func appendSSE(b []byte, e Event, first bool) []byte {
	switch {
	case first:
		b = append(b, "retry: 2000\n"...)
	case e.Gap:
		b = append(b, "event: gap\n"...)
	case e.Kind != 0:
		b = append(append(append(b, "event: "...), e.Kind.String()...), '\n')
	default:
		b = append(b, ": heartbeat\n"...)
	}
	b = append(append(append(b, "id: "...), e.Position...), '\n')
	if e.Kind != 0 || e.Gap {
		b = append(append(append(b, "data: "...), e.JSON()...), '\n')
	}
	return append(b, '\n')
}

// Refuse answers a request whose reader was refused.
func Refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, ErrCaller):
		status = http.StatusTooManyRequests
	case errors.Is(err, ErrFull):
		status = http.StatusServiceUnavailable
	case errors.Is(err, recordstore.ErrClosed):
		status = http.StatusServiceUnavailable
	}
	if status != http.StatusBadRequest {
		w.Header().Set("Retry-After", "10")
	}
	http.Error(w, err.Error(), status)
}
