package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
)

// nameTable is a Resolver that knows some names and domains.
type nameTable struct {
	records map[string]*ipns.Record // by name
	paths   map[string]string       // by name or domain
	ttl     time.Duration
	found   time.Time
	err     error // of every question
}

func (t *nameTable) Resolve(_ context.Context, p string) (Resolution, error) {
	if t.err != nil {
		return Resolution{}, t.err
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(p, "/ipns/"), "/")
	to, ok := t.paths[name]
	if !ok {
		return Resolution{}, fmt.Errorf("%s is not known", name)
	}
	if rest != "" {
		to += "/" + rest
	}
	return Resolution{Path: to, TTL: t.ttl, LastModified: t.found}, nil
}

func (t *nameTable) Record(_ context.Context, n ipns.Name) (*ipns.Record, error) {
	r, ok := t.records[n.String()]
	if t.err != nil || !ok {
		return nil, errors.Join(t.err, errors.New("no record"))
	}
	return r, nil
}

func (t *nameTable) DNSLink(_ context.Context, domain string) (string, error) {
	if p, ok := t.paths[domain]; ok && strings.Contains(domain, ".") {
		return p, nil
	}
	return "", errors.New("no DNSLink")
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, _ ...any) { panic(f) }

var epoch = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// world is a gateway with one site under one name.
type world struct {
	http.Handler
	names *nameTable
	name  ipns.Name
	raw   []byte // its record: TTL 10 min, EOL an hour after epoch
	root  string // the site's CID
	file  string // the CID of its index.html, "<p>hi\n"
	now   time.Time
}

func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	db, err := pebble.Open("db", &pebble.Options{FS: vfs.NewMem(), Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	store, err := content.Open(t.Context(), content.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(store.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	w := &world{now: epoch}
	tree := func(yield func(content.Entry, error) bool) {
		_ = yield(content.Entry{Path: "site/index.html", Content: strings.NewReader("<p>hi\n")}, nil) &&
			yield(content.Entry{Path: "site/notes/list.txt", Content: strings.NewReader("1\n2\n")}, nil)
	}
	for a, err := range store.Add(t.Context(), tree, content.AddOptions{CIDVersion: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		switch a.Name {
		case "site":
			w.root = a.CID.String()
		case "site/index.html":
			w.file = a.CID.String()
		}
	}
	w.sign(t)
	o.Content, o.Names, o.Now = store, w.names, func() time.Time { return w.now }
	if w.Handler, err = New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

// sign makes a key, a name, its record, and a resolver that knows them.
func (w *world) sign(t *testing.T) {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := ipns.Sign(t.Context(), ipns.NewSigner(key), ipns.Fields{
		Value: "/ipfs/" + w.root, EOL: epoch.Add(time.Hour), TTL: 10 * time.Minute,
	}, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	w.name, w.raw = rec.Name(), rec.Raw()
	w.names = &nameTable{
		records: map[string]*ipns.Record{w.name.String(): rec},
		paths:   map[string]string{w.name.String(): "/ipfs/" + w.root, "example.com": "/ipfs/" + w.root},
		ttl:     90500 * time.Millisecond,
		found:   epoch.Add(-time.Minute),
	}
}

// get asks for a URL such as http://localhost/ipfs/…; header are pairs.
func (w *world) get(url string, header ...string) *http.Response {
	return w.do(http.MethodGet, url, header...)
}

func (w *world) do(method, url string, header ...string) *http.Response {
	r := httptest.NewRequest(method, url, nil)
	r.URL.Scheme, r.URL.Host = "", "" // as a server gets it
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec.Result()
}

func bodyOf(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// check compares status and header fields, given as pairs; "" means that the field must be absent.
func check(t *testing.T, r *http.Response, status int, header ...string) {
	t.Helper()
	if r.StatusCode != status {
		t.Errorf("status %d, want %d: %s", r.StatusCode, status, bodyOf(t, r))
	}
	for i := 0; i+1 < len(header); i += 2 {
		if got := r.Header.Get(header[i]); got != header[i+1] {
			t.Errorf("%s: %q, want %q", header[i], got, header[i+1])
		}
	}
}

const at = "http://127.0.0.1:8080"

func TestPathsUnderAName(t *testing.T) {
	w := newWorld(t, Options{})
	ipnsPath := "/ipns/" + w.name.String()
	modified := w.names.found.Format(http.TimeFormat)

	r := w.get(at + ipnsPath + "/index.html")
	check(t, r, 200, "Cache-Control", "public, max-age=90", "Last-Modified", modified,
		"Etag", `"`+w.file+`"`, "X-Ipfs-Path", ipnsPath+"/index.html", "X-Ipfs-Roots", w.root+","+w.file,
		"Access-Control-Allow-Origin", "*")
	if got := bodyOf(t, r); got != "<p>hi\n" {
		t.Errorf("body %q", got)
	}
	if r := w.get(at + ipnsPath + "/"); bodyOf(t, r) != "<p>hi\n" {
		t.Error("the folder's index.html is not shown")
	}
	check(t, w.get(at+ipnsPath+"/notes?a=b"), 301, "Location", ipnsPath+"/notes/?a=b")
	check(t, w.get(at+ipnsPath+"/notes/"), 200, "Cache-Control", "public, max-age=90, stale-while-revalidate=2678400")
	check(t, w.get(at+ipnsPath+"/nope"), 404)
	check(t, w.get(at+ipnsPath+"/index.html", "If-None-Match", `"`+w.file+`"`), 304, "Etag", `"`+w.file+`"`)
	check(t, w.get(at+"/ipns/"+w.name.PeerID().String()+"/notes/?q"), 302, "Location", ipnsPath+"/notes/?q")
	check(t, w.get(at+"/ipfs/"+w.root+"/index.html"), 200, "Cache-Control", "public, max-age=29030400, immutable", "Last-Modified", "")
	check(t, w.get(at+"/ipfs/nope"), 400)
	check(t, w.get(at+"/"), 404)

	w.names.ttl = 0 // not known: a cache gets no promise
	check(t, w.get(at+ipnsPath+"/index.html"), 200, "Cache-Control", "", "Last-Modified", "")
}

func TestResolveFailures(t *testing.T) {
	w := newWorld(t, Options{})
	check(t, w.get(at+"/ipns/QmInvalid/x"), 500)
	for _, tt := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("search: %w", context.DeadlineExceeded), 504},
		{ipns.ErrExpired, 500},
	} {
		w.names.err = tt.err
		r := w.get(at + "/ipns/" + w.name.String() + "/index.html")
		check(t, r, tt.status, "Cache-Control", "", "Etag", "")
		if b := bodyOf(t, r); !strings.Contains(b, "failed to resolve /ipns/"+w.name.String()) || !strings.Contains(b, tt.err.Error()) {
			t.Errorf("body %q", b)
		}
		check(t, w.get(at+"/ipns/"+w.name.String()+"?format=ipns-record"), tt.status, "Cache-Control", "", "Etag", "")
	}
}

func TestMethods(t *testing.T) {
	w := newWorld(t, Options{})
	for _, p := range []string{"/index.html", "?format=ipns-record"} {
		url := at + "/ipns/" + w.name.String() + p
		r := w.do(http.MethodPost, url)
		check(t, r, 405)
		if allow := strings.Join(r.Header.Values("Allow"), ", "); allow != "GET, HEAD, OPTIONS" {
			t.Errorf("Allow: %s", allow)
		}
		check(t, w.do(http.MethodOptions, url), 200)
		r = w.do(http.MethodHead, url)
		check(t, r, 200)
		if b := bodyOf(t, r); b != "" || r.Header.Get("Etag") == "" || r.Header.Get("Cache-Control") == "" {
			t.Errorf("HEAD: body %q, header %v", b, r.Header)
		}
	}
}

func TestHosts(t *testing.T) {
	w := newWorld(t, Options{Hosts: map[string]*Host{"gw.example": {Paths: []string{"/ipns/"}}}})
	name := w.name.String()
	site := "http://" + name + ".ipns.localhost:8080"
	check(t, w.get("http://localhost:8080/ipns/"+name+"/index.html"), 301, "Location", site+"/index.html")
	check(t, w.get(site+"/index.html"), 200, "Etag", `"`+w.file+`"`)
	check(t, w.get("http://gw.example/ipns/"+name+"/index.html"), 200)
	check(t, w.get("http://gw.example/ipfs/"+w.root+"/index.html"), 404)
	check(t, w.get("http://example.com/index.html"), 200, "X-Ipfs-Path", "/ipns/example.com/index.html")
	check(t, w.get("http://other.example/index.html"), 404)

	r := w.get(site+"/", "Accept", ipns.RecordMediaType)
	check(t, r, 200, "Content-Location", "/?format=ipns-record")
	if bodyOf(t, r) != string(w.raw) {
		t.Error("not the record")
	}

	plain := newWorld(t, Options{NoDNSLink: true, Hosts: map[string]*Host{"localhost": nil}})
	check(t, plain.get("http://localhost:8080/ipns/"+plain.name.String()+"/index.html"), 200)
	check(t, plain.get("http://example.com/index.html"), 404)
}

func TestOnlyIfCached(t *testing.T) {
	w := newWorld(t, Options{NoFetch: true})
	const header, only = "Cache-Control", "only-if-cached"
	check(t, w.get(at+"/ipns/"+w.name.String()+"/index.html", header, only), 200)
	check(t, w.get(at+"/ipns/unknown.example/index.html", header, only), 412)
	check(t, w.get(at+"/ipfs/bafybeib3ffl2teiqdncv3mkz4r23b5ctrwkzrrhctdbne6iboayxuxk5ui", header, only), 412)
	check(t, w.get(at+"/ipfs/bafybeib3ffl2teiqdncv3mkz4r23b5ctrwkzrrhctdbne6iboayxuxk5ui"), 404)
}

func TestTrustlessOnly(t *testing.T) {
	w := newWorld(t, Options{TrustlessOnly: true, MaxTTL: 30 * time.Second})
	check(t, w.get(at+"/ipns/"+w.name.String()+"/index.html"), 406)
	check(t, w.get(at+"/ipfs/"+w.file), 406)
	check(t, w.get(at+"/ipfs/"+w.file+"?format=raw"), 200)
	check(t, w.get(at+"/ipns/"+w.name.String()+"?format=ipns-record"), 200, "Cache-Control", "public, max-age=30")
}
