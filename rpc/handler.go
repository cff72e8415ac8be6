package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Prefix is where the API lives on its HTTP server.
const Prefix = "/api/v0/"

// streamError is the trailer for an error after the first byte of a reply.
const streamError = "X-Stream-Error"

const exposedHeaders = "X-Stream-Output, X-Chunked-Output, X-Content-Length"

// Handler serves a Node over HTTP. Whoever reaches it commands the node: it
// belongs behind a [Guard].
type Handler struct {
	Node Node
	// Offline says that the node has no network, so that no request must be kept
	// from it.
	Offline bool
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "OPTIONS, POST")
		plain(w, http.StatusMethodNotAllowed, "405 - Method Not Allowed")
		return
	}
	run, ok := routes[strings.TrimPrefix(r.URL.Path, Prefix)]
	if !ok || !strings.HasPrefix(r.URL.Path, Prefix) {
		plain(w, http.StatusNotFound, "404 page not found")
		return
	}
	h.run(run, w, r)
}

func (h *Handler) run(run route, w http.ResponseWriter, r *http.Request) {
	if s := r.URL.Query().Get("timeout"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			fail(w, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), d)
		defer cancel()
		r = r.WithContext(ctx)
	}
	if q := r.URL.Query(); asksOffline(q) {
		r = r.WithContext(Offline(r.Context()))
		if h.Offline {
			r.URL.RawQuery = withoutOffline(q).Encode()
		}
	}
	if err := run(h.Node, w, r); err != nil {
		fail(w, err)
	}
}

// fail writes the reply of a command that failed before its first byte.
func fail(w http.ResponseWriter, err error) {
	var opt *optionError
	if errors.As(err, &opt) {
		plain(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Trailer", streamError)
	reply := errorReply{Message: err.Error(), Type: "error"}
	status := http.StatusInternalServerError
	var e *Error
	if errors.As(err, &e) && e.Client {
		reply.Code = 1
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/json")
	expose(w.Header())
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(reply) // the caller may be gone
}

// errorReply is a failed command on the wire.
type errorReply struct {
	Message string
	Code    int
	Type    string
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

// expose lets pages read the headers of the API.
func expose(h http.Header) {
	h.Set("Access-Control-Allow-Headers", exposedHeaders)
	h.Set("Access-Control-Expose-Headers", exposedHeaders)
}

func setStreamHeader(h http.Header, s Stream) {
	expose(h)
	h.Set("Trailer", streamError)
	h.Set("Content-Type", s.Type)
	h.Set("X-Stream-Output", "1")
	if s.Size >= 0 {
		h.Set("X-Content-Length", strconv.FormatInt(s.Size, 10))
	}
}
