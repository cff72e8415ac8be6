package serve

import (
	"net"
	"net/http"
	"strings"

	"github.com/goipns/ipns/internal/display"
)

// Ready says whether a node may do something: empty texts, or why it may not.
type Ready struct {
	Serve string // answer requests that read
	Sign  string // make and store records
}

// The paths that load balancers ask, of everybody, on every port. On the gateway they are
// answered where the host is an address or localhost: a site may have files of these names.
const (
	alivePath = "/healthz"
	readyPath = "/readyz"
	servePath = "/readyz/serve"
	signPath  = "/readyz/sign"
)

// isHealth reports whether a request asks for the health of the node.
func isHealth(r *http.Request) bool {
	switch r.URL.Path {
	case alivePath, readyPath, servePath, signPath:
		return r.Method == http.MethodGet || r.Method == http.MethodHead
	}
	return false
}

// healthy answers those requests, before all that a port asks of others.
func (s *Servers) healthy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isHealth(r) {
			next.ServeHTTP(w, r)
			return
		}
		s.health(w, r)
	})
}

// healthyGateway is healthy for the gateway, whose hosts may be sites.
func (s *Servers) healthyGateway(next http.Handler) http.Handler {
	own := s.healthy(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isMachine(r.Host) {
			own.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isMachine reports whether a Host is an address or localhost, and no site.
func isMachine(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	return host == "" || host == "localhost" || net.ParseIP(host) != nil
}

func (s *Servers) health(w http.ResponseWriter, r *http.Request) {
	var ready Ready
	if s.o.Ready != nil && r.URL.Path != alivePath {
		ready = s.o.Ready(r.Context())
	}
	whole := true
	var text strings.Builder
	say := func(what, why string) {
		if why == "" {
			display.Fprintf(&text, "%s: yes\n", what)
			return
		}
		whole = false
		display.Fprintf(&text, "%s: no, %s\n", what, why)
	}
	switch r.URL.Path {
	case alivePath:
		say("alive", "")
	case servePath:
		say("may serve", ready.Serve)
	case signPath:
		say("may sign", ready.Sign)
	default:
		say("may serve", ready.Serve)
		say("may sign", ready.Sign)
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	status := http.StatusOK
	if !whole {
		h.Set("Retry-After", "5")
		status = http.StatusServiceUnavailable
	}
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = w.Write([]byte(text.String())) // the caller may be gone
	}
}
