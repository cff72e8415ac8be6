package gateway

import (
	"strings"
	"testing"
)

func TestPathsOfOneHostAreIsolatedByASandbox(t *testing.T) {
	w := newWorld(t, Options{Hosts: map[string]*Host{"gw.example": {Paths: []string{"/ipfs/", "/ipns/"}}}})
	const policy, sniff = "Content-Security-Policy", "X-Content-Type-Options"
	page := "/ipfs/" + w.root + "/index.html"
	for _, url := range []string{at + page, "http://gw.example" + page, at + "/ipns/" + w.name.String() + "/", at + "/ipfs/" + w.root + "/notes/"} {
		r := w.get(url)
		check(t, r, 200, sniff, "nosniff")
		if p := r.Header.Get(policy); !strings.HasPrefix(p, "sandbox ") || strings.Contains(p, "allow-same-origin") {
			t.Errorf("%s: %q", url, p)
		}
	}
	check(t, w.get(at+"/ipfs/"+w.root+"/notes/list.txt"), 200, sniff, "nosniff", policy, "")
	// These have their own origin.
	check(t, w.get("http://"+w.name.String()+".ipns.localhost:8080/index.html"), 200, policy, "")
	check(t, w.get("http://example.com/index.html"), 200, policy, "")

	own := newWorld(t, Options{Headers: map[string][]string{"Content-Security-Policy": {"default-src 'self'"}}})
	check(t, own.get(at+"/ipfs/"+own.root+"/index.html"), 200, policy, "default-src 'self'", sniff, "nosniff")
}

func TestDocumentsAreWhatMayHoldScripts(t *testing.T) {
	for kind, want := range map[string]bool{
		"":                         true,
		"text/html; charset=utf-8": true,
		"TEXT/HTML":                true,
		"application/xhtml+xml":    true,
		"image/svg+xml":            true,
		"text/xml":                 true,
		"application/xml":          true,
		"application/rss+xml":      true,
		"text/plain":               false,
		"application/pdf":          false, // browsers don't show it in a sandbox
		"image/png":                false,
		"text/javascript":          false,
	} {
		if isDocument(kind) != want {
			t.Errorf("%q: %v", kind, !want)
		}
	}
}
