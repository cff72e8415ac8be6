package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Prefix is where the API lives on its HTTP server.
const Prefix = "/api/v0/"

// streamError is the trailer for an error after the first byte of a reply.
const streamError = "X-Stream-Error"

const exposedHeaders = "X-Stream-Output, X-Chunked-Output, X-Content-Length"

// Handler serves a Node over HTTP.
//
// Whoever reaches it commands the node, so it belongs on a loopback address.
// Against web pages it answers a browser only if the page comes from the API's
// own address or from Origins, and only to a Host that is an IP address,
// localhost, or the host of one of Origins, so that no page reaches it by a
// domain that it points here.
type Handler struct {
	Node Node
	// Origins are more web origins that may use the API: "https://app.example",
	// or "*" for all.
	Origins []string
	// Offline says that the node has no network, so that no request must be kept
	// from it.
	Offline bool
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Add("Vary", "Origin")
	if !h.allowed(r) {
		plain(w, http.StatusForbidden, "403 - Forbidden")
		return
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		head.Set("Access-Control-Allow-Origin", origin)
	}
	switch r.Method {
	case http.MethodOptions:
		head.Set("Access-Control-Allow-Methods", "OPTIONS, POST")
		expose(head)
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodPost:
	default:
		head.Set("Allow", "OPTIONS, POST")
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

// allowed keeps web pages out that nobody let in.
func (h *Handler) allowed(r *http.Request) bool {
	if !h.knownHost(r.Host) {
		return false
	}
	origin, referer := r.Header.Get("Origin"), r.Header.Get("Referer")
	if origin == "" && referer == "" {
		// A browser that tells neither hides where the page comes from.
		return !strings.HasPrefix(r.UserAgent(), "Mozilla")
	}
	if origin != "" && !h.knownOrigin(origin, r) {
		return false
	}
	if referer != "" {
		u, err := url.Parse(referer)
		return err == nil && h.knownOrigin(u.Scheme+"://"+u.Host, r)
	}
	return true
}

func (h *Handler) knownOrigin(origin string, r *http.Request) bool {
	if slices.Contains(h.Origins, "*") || slices.Contains(h.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	if u.Host == r.Host {
		return true
	}
	_, port, _ := net.SplitHostPort(r.Host)
	host := u.Hostname()
	return u.Port() == port && (host == "localhost" || host == "127.0.0.1" || host == "::1")
}

func (h *Handler) knownHost(hostport string) bool {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	return slices.ContainsFunc(h.Origins, func(o string) bool {
		u, err := url.Parse(o)
		return err == nil && u.Hostname() == host
	})
}
