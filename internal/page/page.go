// Package page is the page of a node for a browser: files that are part of the program and
// the same for everyone. All that it shows and does goes through the API, as any client's
// requests do.
//
// Invariants: it loads nothing from elsewhere, runs no script but its own files, and
// cannot be put into a frame, which its headers enforce; a value from a node never becomes
// HTML.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed files
var files embed.FS

// policy is the Content-Security-Policy of all files.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// The media types of the files.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file is one file, as it is served.
type file struct {
	body      []byte
	kind, tag string
}

// Handler serves the page at a path; without a slash at its end, it redirects there.
func Handler(at string) http.Handler {
	all := read()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", policy)
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Frame-Options", "DENY")
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			head.Set("Allow", "GET, HEAD, OPTIONS")
			http.Error(w, "405 - Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		if r.URL.Path == at {
			http.Redirect(w, r, at+"/", http.StatusFound)
			return
		}
		f, ok := all[strings.TrimPrefix(r.URL.Path, at+"/")]
		if !ok {
			http.Error(w, "404 page not found", http.StatusNotFound)
			return
		}
		head.Set("Cache-Control", "no-cache") // another version of the program has other files
		head.Set("ETag", f.tag)
		if r.Header.Get("If-None-Match") == f.tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		head.Set("Content-Type", f.kind)
		if r.Method == http.MethodGet {
			_, _ = w.Write(f.body) // the browser may be gone
		}
	})
}

// read returns the files by their names; the empty one is the page.
func read() map[string]file {
	all := map[string]file{}
	dir, err := fs.ReadDir(files, "files")
	if err != nil {
		panic(err) // they are part of the program
	}
	for _, e := range dir {
		body, err := files.ReadFile(path.Join("files", e.Name()))
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		name := e.Name()
		if name == "index.html" {
			name = ""
		}
		all[name] = file{body, types[path.Ext(e.Name())], `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	}
	return all
}
