package gateway

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
)

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, _ ...any) { panic(f) }

var epoch = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// world is a gateway with one site under one name.
type world struct {
	http.Handler
	*resolver.Resolver
	store *content.Store
	name  ipns.Name
	raw   []byte // its record: TTL 10 min, EOL an hour after epoch
	root  string // the site's CID
	file  string // the CID of its index.html, "<p>hi\n"
	now   time.Time
	fail  error // returned by every lookup
}

func (w *world) Resolve(ctx context.Context, p string, o resolver.Options) (resolver.Resolution, error) {
	if w.fail != nil {
		return resolver.Resolution{}, w.fail
	}
	return w.Resolver.Resolve(ctx, p, o)
}

func (w *world) Stream(ctx context.Context, p string, o resolver.Options) iter.Seq2[resolver.Resolution, error] {
	if w.fail != nil {
		return func(yield func(resolver.Resolution, error) bool) { yield(resolver.Resolution{}, w.fail) }
	}
	return w.Resolver.Stream(ctx, p, o)
}

func (w *world) Known(ctx context.Context, p string) (resolver.Resolution, bool) {
	if w.fail != nil {
		return resolver.Resolution{}, false
	}
	return w.Resolver.Known(ctx, p)
}

func (w *world) Lookup(ctx context.Context, n ipns.Name, o resolver.Options) (resolver.Hop, error) {
	if w.fail != nil {
		return resolver.Hop{}, w.fail
	}
	return w.Resolver.Lookup(ctx, n, o)
}

func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	return newWorldWith(t, o, nil)
}

func newWorldWith(t *testing.T, o Options, deny content.Denylist) *world {
	t.Helper()
	fs := vfs.NewMem()
	db, err := pebble.Open("db", &pebble.Options{FS: fs, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	store, err := content.Open(t.Context(), content.Options{DB: db, Dir: "db", FS: fs, Deny: deny})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{now: epoch, store: store}
	now := func() time.Time { return w.now }
	w.Resolver = &resolver.Resolver{
		Book:      &names.Book{Store: recordstore.NewMemory(), Now: now},
		LookupTXT: w.lookupTXT,
		Now:       now,
	}
	t.Cleanup(func() {
		if err := errors.Join(w.Close(), store.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	w.addSite(t, store)
	w.name, w.raw = w.publish(t, recordstore.Own, "/ipfs/"+w.root)
	o.Content, o.Names, o.Now = store, w, now
	if w.Handler, err = New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) addSite(t *testing.T, store *content.Store) {
	t.Helper()
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
}

// publish creates a key and enters a first record of its name into the Book.
func (w *world) publish(t *testing.T, origin recordstore.Origin, value string) (ipns.Name, []byte) {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := ipns.Sign(t.Context(), ipns.NewSigner(key), ipns.Fields{
		Value: value, EOL: epoch.Add(time.Hour), TTL: 10 * time.Minute,
	}, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	if origin == recordstore.Own {
		if err := w.Book.Create(t.Context(), rec.Name()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Book.Take(t.Context(), rec, names.Entrance{Origin: origin}); err != nil {
		t.Fatal(err)
	}
	return rec.Name(), rec.Raw()
}

func (w *world) lookupTXT(_ context.Context, domain string) ([]string, time.Duration, error) {
	switch domain {
	case "_dnslink.example.com.":
		return []string{"dnslink=/ipns/" + w.name.String()}, time.Hour, nil
	case "_dnslink.loop.example.":
		return []string{"dnslink=/ipns/loop.example"}, time.Hour, nil
	}
	return nil, 0, &net.DNSError{Err: "no such host", Name: domain, IsNotFound: true}
}

// get requests a URL such as http://localhost/ipfs/…; header holds pairs.
func (w *world) get(url string, header ...string) *http.Response {
	return w.do(http.MethodGet, url, header...)
}

func (w *world) do(method, url string, header ...string) *http.Response {
	r := httptest.NewRequest(method, url, nil)
	r.URL.Scheme, r.URL.Host = "", "" // as a server receives it
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
