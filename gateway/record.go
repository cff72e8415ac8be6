package gateway

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	boxo "github.com/ipfs/boxo/gateway"
	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/resolver"
)

// recordHandler serves signed records, with a quoted Etag so that If-None-Match works. It passes all other requests,
// and malformed ones, to next.
type recordHandler struct {
	names  Resolver
	denied func(path string) error
	now    func() time.Time
	limit  time.Duration // of a search
	next   http.Handler
}

func (h *recordHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, name, ok := recordRequest(r)
	if !ok {
		h.next.ServeHTTP(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.limit)
	defer cancel()
	var hop resolver.Hop
	err := h.denied("/ipns/" + key)
	if err == nil {
		hop, err = h.names.Lookup(ctx, name, resolver.Options{})
	}
	now := h.now()
	if err == nil && hop.Record.Expired(now) {
		err = resolver.ErrExpired
	}
	if err != nil {
		var status *boxo.ErrorStatusCode
		errors.As(statusOf(ctx, err), &status)
		http.Error(w, fmt.Sprintf("failed to resolve /ipns/%s: %v", key, err), status.StatusCode)
		return
	}
	rec := hop.Record
	hash := rec.Hash()
	header := w.Header()
	header.Set("Etag", `"`+hex.EncodeToString(hash[:16])+`"`)
	header.Set("Content-Type", ipns.RecordMediaType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Disposition", disposition(r, key))
	if loc := contentLocation(r); loc != "" {
		header.Set("Content-Location", loc)
	}
	modified := now
	if ttl := min(rec.TTL(), rec.EOL().Sub(now)); ttl > 0 {
		header.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int64(ttl/time.Second)))
		modified = time.Time{}
	}
	http.ServeContent(w, r, "", modified, bytes.NewReader(rec.Raw()))
}

// recordRequest reports whether r is a well-formed request for a record that needs only its name.
func recordRequest(r *http.Request) (key string, name ipns.Name, ok bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || !wantsRecord(r) {
		return "", name, false
	}
	if r.Header.Get("Service-Worker") != "" || strings.Contains(r.Header.Get("Cache-Control"), "only-if-cached") {
		return "", name, false
	}
	key, ok = strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/"), "/ipns/")
	if !ok {
		return "", name, false
	}
	// Anything but a CID of version 1 is redirected to one, or is a domain, which has no record.
	if c, err := cid.Decode(key); err != nil || c.Version() != 1 {
		return "", name, false
	}
	name, err := ipns.ParseName(key)
	return key, name, err == nil
}

// formats are the values of ?format= that select something other than a record. Unknown ones select nothing.
var formats = map[string]bool{
	"raw": true, "car": true, "tar": true, "json": true, "cbor": true, "dag-json": true, "dag-cbor": true,
}

func wantsRecord(r *http.Request) bool {
	format := r.URL.Query().Get("format")
	if format == "ipns-record" || formats[format] {
		return format == "ipns-record"
	}
	// The first type that names a format decides, whatever its weight: boxo does the same.
	for _, header := range r.Header.Values("Accept") {
		for t := range strings.SplitSeq(header, ",") {
			t, _, _ = strings.Cut(strings.TrimSpace(t), ";")
			switch {
			case t == ipns.RecordMediaType:
				return true
			case strings.HasPrefix(t, "application/vnd.ip"), t == "application/x-tar",
				t == "application/json", t == "application/cbor":
				return false
			}
		}
	}
	return false
}

// contentLocation is the address of this response, if only a header selected the format.
func contentLocation(r *http.Request) string {
	query := r.URL.Query()
	if query.Get("format") == "ipns-record" {
		return ""
	}
	query.Set("format", "ipns-record")
	asked := r.URL.Path
	if p, ok := r.Context().Value(boxo.OriginalPathKey).(string); ok {
		asked = p // with the path before the name that came from the host
	}
	return (&url.URL{Path: asked, RawQuery: query.Encode()}).String()
}

var notASCII = regexp.MustCompile("[[:^ascii:]]")

// disposition makes browsers save the record, named by ?filename= if given.
func disposition(r *http.Request, key string) string {
	name := r.URL.Query().Get("filename")
	if name == "" {
		name = key + ".ipns-record"
	}
	plain := url.PathEscape(notASCII.ReplaceAllLiteralString(name, "_"))
	return fmt.Sprintf(`attachment; filename="%s"; filename*=UTF-8''%s`, plain, url.PathEscape(name))
}
