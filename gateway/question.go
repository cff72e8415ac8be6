package gateway

import (
	"net/http"
	gopath "path"
	"strconv"
	"strings"
	"time"

	boxo "github.com/ipfs/boxo/gateway"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multibase"
	"golang.org/x/net/idna"

	"github.com/goipns/ipns"
)

// maxURI bounds the header Ipfs-Uri, in bytes; a longer one is not sent. It is boxo's.
const maxURI = 8192

// immutable is the Cache-Control of what never changes. It is boxo's.
const immutable = "public, max-age=29030400, immutable"

// question is a request that a kept answer may be right for.
type question struct {
	key       answerKey
	namespace string // "ipfs", "ipns"
	asked     string // the path
	root      string // its name or CID, as URIs have it; "": they have none
	mutable   bool
	ttl       time.Duration
	modified  time.Time
}

// question returns what is asked, unless that is more than a file, or can't be known without waiting.
func (s *answers) question(r *http.Request) (q question, ok bool) {
	if !s.plain(r) {
		return q, false
	}
	q.asked = r.URL.Path
	var root string
	if q.namespace, root, q.key.rest, ok = splitClean(q.asked); !ok {
		return q, false
	}
	ctx := r.Context()
	q.key.host.isolated = ctx.Value(boxo.SubdomainHostnameKey) != nil || ctx.Value(boxo.DNSLinkHostnameKey) != nil
	q.key.host.secure = r.URL.Scheme == "https" || r.Header.Get("X-Forwarded-Proto") == "https"
	if q.namespace == "ipfs" {
		c, err := cid.Decode(root)
		if err == nil {
			q.root, err = cid.NewCidV1(c.Type(), c.Hash()).StringOfBase(multibase.Base32)
		}
		q.key.path, q.modified = q.asked, noModified
		return q, err == nil
	}
	res, known := s.names.Known(ctx, q.asked)
	// Other forms of the name are redirected to the canonical one.
	if !known || res.Hops[0].Root != root {
		return q, false
	}
	s.troubles.over(root)
	q.mutable, q.key.path, q.root = true, res.Path, root
	if res.Hops[0].Record == nil {
		if _, err := ipns.ParseName(root); err != nil {
			q.root = authority(root)
		}
	}
	q.ttl, q.modified = cacheable(res, s.now())
	return q, true
}

// plain reports whether a request is for a whole file in its own format.
func (s *answers) plain(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.RawQuery != "" || r.URL.ForceQuery {
		return false
	}
	for _, key := range [...]string{"Range", "If-Range", "If-Match", "If-Modified-Since", "If-Unmodified-Since", "Cache-Control", "Service-Worker"} {
		if r.Header[key] != nil {
			return false
		}
	}
	return acceptsFile(r.Header["Accept"]) && s.deserializes(r)
}

// acceptsFile reports whether an Accept is none, or one such as browsers send: it has text/html or */*, and names none of
// the formats that boxo converts to, which it looks for in the same way.
func acceptsFile(accept []string) bool {
	if len(accept) != 1 {
		return len(accept) == 0
	}
	page := false
	for t := range strings.SplitSeq(accept[0], ",") {
		t = strings.TrimSpace(t)
		kind, _, _ := strings.Cut(t, ";")
		switch kind {
		case "*/*", "text/html":
			page = true
			continue
		}
		for _, format := range [...]string{"application/vnd.ip", "application/x-tar", "application/json", "application/cbor"} {
			if strings.HasPrefix(t, format) {
				return false
			}
		}
	}
	return page
}

// deserializes reports whether the host serves more than what clients can verify, as boxo finds it out.
func (s *answers) deserializes(r *http.Request) bool {
	host := r.Host
	if h, ok := r.Context().Value(boxo.GatewayHostnameKey).(string); ok {
		host = h
	}
	if h := r.Header.Get("X-Forwarded-Host"); h != "" {
		host = h
	}
	if gw, ok := s.cfg.PublicGateways[host]; ok {
		return gw.DeserializedResponses
	}
	return s.cfg.DeserializedResponses
}

// splitClean splits a path /ns/root/rest; the rest begins with its slash. ok is false for one that boxo would change.
func splitClean(p string) (namespace, root, rest string, ok bool) {
	if len(p) < 7 || p[0] != '/' || p[5] != '/' {
		return "", "", "", false
	}
	if namespace = p[1:5]; namespace != "ipfs" && namespace != "ipns" {
		return "", "", "", false
	}
	root = p[6:]
	if i := strings.IndexByte(root, '/'); i >= 0 {
		root, rest = root[:i], root[i:]
	}
	bare := p
	if len(rest) > 0 && rest[len(rest)-1] == '/' {
		bare = p[:len(p)-1]
	}
	return namespace, root, rest, root != "" && gopath.Clean(bare) == bare
}

// authority is a domain as URIs have it; "" if it has none.
func authority(domain string) string {
	host, err := idna.Lookup.ToASCII(strings.TrimSuffix(domain, "."))
	if err != nil || !strings.Contains(host, ".") || strings.Contains(host, "..") || strings.HasPrefix(host, ".") || strings.HasSuffix(host, ".") {
		return ""
	}
	return host
}

// answer sends a kept answer; notModified says that the client has it.
func (q *question) answer(w http.ResponseWriter, r *http.Request, a *answer, notModified bool) {
	h := w.Header()
	if fieldValue(q.asked) {
		h["X-Ipfs-Path"] = []string{q.asked}
	}
	if uri := q.uri(); uri != "" && len(uri) <= maxURI {
		h["Ipfs-Uri"] = []string{uri}
	}
	if cc := q.cacheControl(); cc != "" {
		h["Cache-Control"] = []string{cc}
	}
	if notModified {
		h["Etag"] = []string{a.etag}
		w.WriteHeader(http.StatusNotModified)
		return
	}
	for key, values := range a.header {
		h[key] = values
	}
	modified := q.modified
	if !a.modified.IsZero() {
		modified = a.modified
	}
	if !modified.Equal(noModified) {
		h["Last-Modified"] = []string{modified.UTC().Format(http.TimeFormat)}
	}
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(a.body)
	}
}

func (q *question) cacheControl() string {
	switch {
	case !q.mutable:
		return immutable
	case q.ttl > 0:
		return "public, max-age=" + strconv.Itoa(int(q.ttl.Seconds()))
	}
	return ""
}

// uri is the address of the content itself, with everything escaped that is not unreserved in a URI.
func (q *question) uri() string {
	if q.root == "" {
		return ""
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len("ipns://")+len(q.root)+len(q.key.rest)+16)
	b = append(b, q.namespace...)
	b = append(b, "://"...)
	b = append(b, q.root...)
	for _, c := range []byte(q.key.rest) {
		switch {
		case c == '/' || c == '-' || c == '.' || c == '_' || c == '~',
			'0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// fieldValue reports whether a header can have a text as it is.
func fieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '\t' && (c < ' ' || c > '~') {
			return false
		}
	}
	return true
}

// matches reports whether the tags of an If-None-Match include one. ok is false for what boxo must decide: anything that
// is malformed, and tags of listings, for which it looks too.
func matches(header []string, etag string) (match, ok bool) {
	switch {
	case len(header) == 0:
		return false, true
	case len(header) > 1:
		return false, false
	}
	for rest := header[0]; ; {
		rest = strings.TrimLeft(rest, " \t,")
		switch {
		case rest == "":
			return match, true
		case rest[0] == '*':
			return true, true
		}
		tag := strings.TrimPrefix(rest, "W/")
		end := -1
		if tag != "" && tag[0] == '"' {
			end = strings.IndexByte(tag[1:], '"')
		}
		if end < 0 || strings.ContainsFunc(tag[1:end+1], notInTag) || strings.HasPrefix(tag[1:], "DirIndex-") || strings.HasPrefix(tag[1:], "DagIndex-") {
			return match, match
		}
		if tag[:end+2] == etag {
			match = true
		}
		rest = tag[end+2:]
	}
}

func notInTag(r rune) bool { return r <= ' ' || r == 0x7f }
