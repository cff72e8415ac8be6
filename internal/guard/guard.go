// Package guard controls access to the API of a node. A [Guard] is in front of everything
// on its port: it refuses web pages that were not allowed, and asks for a secret if the
// config requires one.
package guard

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/goipns/ipns/rpc"
)

// Guard passes allowed requests on to Next, and refuses all others.
//
// A browser is answered only if the page comes from the API's own address or from
// Origins, and only if the Host is an IP address, localhost, or the host of one of
// Origins, so that no page can reach the API through a domain that points here. With
// Authorizations, only those who know a secret are answered.
type Guard struct {
	// Origins are additional web origins that may use the API: "https://app.example", or
	// "*" for all, which also allows every Host.
	Origins []string
	// Methods are those allowed in the response to a preflight. nil: OPTIONS and POST.
	Methods []string
	// Credentials lets pages of allowed origins send cookies and passwords.
	Credentials bool
	// Headers are added to every response.
	Headers http.Header
	// Authorizations give access to paths. None: everyone may use everything.
	Authorizations []Authorization
	// Page serves PagePath and what is below it, which everybody may read without a secret;
	// nil: Next does.
	Page http.Handler
	// Next handles allowed requests.
	Next http.Handler

	mu      sync.Mutex // guards the fields below
	running *running   // nil: there were no requests yet
	next    *Guard     // that took the place of this one; nil: none
}

// PagePath is where a browser finds the page of an API, as Kubo's.
const PagePath = "/webui"

const (
	allowOriginKey  = "Access-Control-Allow-Origin"
	allowMethodsKey = "Access-Control-Allow-Methods"
	credentialsKey  = "Access-Control-Allow-Credentials"
	allowHeadersKey = "Access-Control-Allow-Headers"

	// originSetting is the config key that allows origins and hosts.
	originSetting = "API.HTTPHeaders." + allowOriginKey
)

// SetHeaders applies the config's API.HTTPHeaders: CORS headers control access to the
// API, all others are added to every response.
func (g *Guard) SetHeaders(config map[string][]string) {
	g.Headers = http.Header{}
	for key, values := range config {
		switch key = http.CanonicalHeaderKey(key); key {
		case allowOriginKey:
			g.Origins = values
		case allowMethodsKey:
			g.Methods = values
		case credentialsKey:
			g.Credentials = slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, "true") })
		case "Connection", "Content-Length", "Trailer", "Transfer-Encoding":
			// These frame a response and belong to the server.
		default:
			g.Headers[key] = values
		}
	}
}

func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	for key, values := range g.Headers {
		head[key] = slices.Clone(values)
	}
	head.Add("Vary", "Origin")
	if reason := g.refuse(r); reason != "" {
		http.Error(w, "403 - Forbidden: "+reason, http.StatusForbidden)
		return
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		head.Set(allowOriginKey, origin)
		if g.Credentials {
			head.Set(credentialsKey, "true")
		}
	}
	if r.Method == http.MethodOptions {
		g.preflight(w)
		return
	}
	if g.isPage(r) {
		g.Page.ServeHTTP(w, r)
		return
	}
	if !g.admits(r) {
		http.Error(w, denied, http.StatusForbidden)
		return
	}
	r, end, next := g.begin(r)
	if next != nil {
		next.ServeHTTP(w, r)
		return
	}
	defer end()
	g.Next.ServeHTTP(w, r)
}

// denied is what those who know no secret are told, in Kubo's words.
const denied = "Kubo RPC Access Denied: Please provide a valid authorization token as defined in the API.Authorizations configuration." +
	" Give it by --api-auth or the header Authorization; its AllowedPaths must cover the command."

func (g *Guard) preflight(w http.ResponseWriter) {
	head := w.Header()
	methods := "OPTIONS, POST"
	if len(g.Methods) > 0 {
		methods = strings.Join(g.Methods, ", ")
	}
	head.Set(allowMethodsKey, methods)
	own := head.Get(allowHeadersKey)
	rpc.Expose(head)
	switch {
	case own != "":
		head.Set(allowHeadersKey, own)
	case len(g.Authorizations) > 0:
		head.Set(allowHeadersKey, head.Get(allowHeadersKey)+", Authorization, Content-Type")
	}
	w.WriteHeader(http.StatusNoContent)
}

// refuse refuses web pages that were not allowed. It returns the reason, or "" if the
// request may continue.
func (g *Guard) refuse(r *http.Request) string {
	to, ok := parseAuthority(r.Host)
	if !overUnix(r) {
		if !ok {
			return fmt.Sprintf("the Host %q is malformed", shorten(r.Host))
		}
		if !g.knownHost(to) {
			return fmt.Sprintf(`the Host %q is not known here; to let it in, add "http://%s" to %s in the config: ipns config --json %s '["http://%s"]'`,
				r.Host, r.Host, originSetting, originSetting, r.Host)
		}
	}
	origin, referer := r.Header.Get("Origin"), r.Header.Get("Referer")
	site := r.Header.Values("Sec-Fetch-Site")
	own := !slices.ContainsFunc(site, func(s string) bool { return s != "none" && s != "same-origin" })
	if opensWebUI(r) {
		return ""
	}
	switch {
	case origin != "" && !g.knownOrigin(origin, to):
		return fmt.Sprintf("the origin %q is not allowed; to let it in, add it to %s in the config", shorten(origin), originSetting)
	case origin == "" && !own:
		return fmt.Sprintf("a page of another site asks without its origin; pages of the origins in %s may", originSetting)
	case origin == "" && referer == "" && len(site) == 0 && strings.HasPrefix(strings.ToLower(r.UserAgent()), "mozilla") && !g.isPage(r):
		// Browsers say it only to HTTPS and to this machine. The files of the page are for
		// everybody; what it does, it asks with its origin.
		return "the browser does not say which page asks"
	case referer != "":
		u, err := url.Parse(referer)
		if err != nil || !g.knownOrigin(u.Scheme+"://"+u.Host, to) {
			return fmt.Sprintf("the page %q is not allowed; to let it in, add its origin to %s in the config", shorten(referer), originSetting)
		}
	}
	return ""
}

// isPage reports whether a request is about the files of the page.
func (g *Guard) isPage(r *http.Request) bool {
	return g.Page != nil && (r.URL.Path == PagePath || strings.HasPrefix(r.URL.Path, PagePath+"/"))
}

// opensWebUI reports whether a browser opens the page of the API in a window of its own,
// from a link on any site: that site learns nothing of it.
func opensWebUI(r *http.Request) bool {
	return r.Method == http.MethodGet && (r.URL.Path == PagePath || r.URL.Path == PagePath+"/") && r.URL.RawQuery == "" &&
		r.Header.Get("Origin") == "" && only(r, "Sec-Fetch-Mode", "navigate") && only(r, "Sec-Fetch-Dest", "document")
}

// only reports whether a header is there once, with a value.
func only(r *http.Request, key, value string) bool {
	values := r.Header.Values(key)
	return len(values) == 1 && values[0] == value
}

// maxEcho bounds how much of a request a refusal repeats, in bytes.
const maxEcho = 256

func shorten(s string) string { return s[:min(len(s), maxEcho)] }

// overUnix reports whether the request came over a Unix socket, which web pages cannot
// reach.
func overUnix(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}

// authority is the host and port of a Host header or of an origin.
type authority struct{ host, port string }

// parseAuthority parses host or host:port, and refuses anything else.
func parseAuthority(s string) (authority, bool) {
	host, port := s, ""
	switch i := strings.LastIndexByte(s, ':'); {
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 || s[end+1:] != "" && s[end+1] != ':' {
			return authority{}, false
		}
		host, port = s[1:end], strings.TrimPrefix(s[end+1:], ":")
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() || a.Zone() != "" {
			return authority{}, false
		}
	case i >= 0:
		host, port = s[:i], s[i+1:]
	}
	if strings.Trim(port, "0123456789") != "" || len(port) > 5 {
		return authority{}, false
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return authority{a.String(), port}, true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return authority{host, port}, host != "" && strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// parseOrigin parses an http or https origin, and adds the default port of the scheme.
func parseOrigin(s string) (scheme string, a authority, ok bool) {
	scheme, rest, found := strings.Cut(strings.TrimSuffix(s, "/"), "://")
	scheme = strings.ToLower(scheme)
	if !found || scheme != "http" && scheme != "https" {
		return "", a, false
	}
	if a, ok = parseAuthority(rest); !ok {
		return "", a, false
	}
	a.port = a.portOr(scheme)
	return scheme, a, true
}

// portOr returns the port, or the default of the scheme.
func (a authority) portOr(scheme string) string {
	switch {
	case a.port != "":
		return a.port
	case scheme == "https":
		return "443"
	default:
		return "80"
	}
}

func (a authority) isLocal() bool {
	return a.host == "localhost" || a.host == "127.0.0.1" || a.host == "::1"
}

// companions are the origins of the browser extension IPFS Companion, whose users run a node:
// its release and its beta.
var companions = []string{
	"chrome-extension://nibjojkomfdiaoajekhjakgkdhaomnch",
	"chrome-extension://hjoieblefckbooibpepigmacodalfndh",
}

// knownOrigin reports whether pages of an origin may ask the API at to.
func (g *Guard) knownOrigin(origin string, to authority) bool {
	if slices.Contains(g.Origins, "*") || slices.Contains(g.Origins, origin) || slices.Contains(companions, origin) {
		return true
	}
	scheme, from, ok := parseOrigin(origin)
	if !ok {
		return false
	}
	port := to.portOr(scheme)
	if from.port == port && (from.host == to.host || from.isLocal()) {
		return true
	}
	return slices.ContainsFunc(g.Origins, func(allowed string) bool {
		s, a, ok := parseOrigin(strings.Replace(allowed, "<port>", port, 1))
		return ok && s == scheme && a == from
	})
}

func (g *Guard) knownHost(to authority) bool {
	if _, err := netip.ParseAddr(to.host); err == nil || to.host == "localhost" || strings.HasSuffix(to.host, ".localhost") {
		return true
	}
	return slices.ContainsFunc(g.Origins, func(allowed string) bool {
		_, a, ok := parseOrigin(strings.Replace(allowed, "<port>", "80", 1))
		return allowed == "*" || ok && a.host == to.host
	})
}
