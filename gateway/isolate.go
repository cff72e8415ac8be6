package gateway

import (
	"io"
	"mime"
	"net/http"
	"strings"

	boxo "github.com/ipfs/boxo/gateway"
)

// sandbox is the policy of pages that share their origin with other sites: each gets an
// origin of its own, without cookies and storage.
const sandbox = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-popups-to-escape-sandbox allow-scripts allow-top-navigation-by-user-activation"

// isolate separates sites served under one host by path. A Content-Security-Policy from
// the config's headers is left as it is.
func isolate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if ctx.Value(boxo.SubdomainHostnameKey) == nil && ctx.Value(boxo.DNSLinkHostnameKey) == nil {
			w = &isolatedWriter{ResponseWriter: w}
		}
		next.ServeHTTP(w, r)
	})
}

type isolatedWriter struct {
	http.ResponseWriter
	started bool
}

func (w *isolatedWriter) WriteHeader(status int) {
	w.start(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *isolatedWriter) start(status int) {
	if w.started {
		return
	}
	w.started = status >= http.StatusOK || status == http.StatusSwitchingProtocols // informational ones come before the response
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Content-Security-Policy") == "" && isDocument(h.Get("Content-Type")) {
		h.Set("Content-Security-Policy", sandbox)
	}
}

// isDocument reports whether a browser may show a media type as a page with scripts.
func isDocument(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return true // unknown
	case strings.HasSuffix(kind, "+xml"), strings.HasSuffix(kind, "/xml"), strings.HasSuffix(kind, "html"):
		return true
	}
	return kind == "multipart/x-mixed-replace"
}

func (w *isolatedWriter) Write(p []byte) (int, error) {
	w.start(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// ReadFrom lets the server use its fastest way to copy.
func (w *isolatedWriter) ReadFrom(r io.Reader) (int64, error) {
	w.start(http.StatusOK)
	return io.Copy(w.ResponseWriter, r)
}

func (w *isolatedWriter) Flush() {
	w.start(http.StatusOK)
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap is for [http.ResponseController].
func (w *isolatedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
