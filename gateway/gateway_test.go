package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
)

func TestPathsUnderAName(t *testing.T) {
	w := newWorld(t, Options{})
	ipnsPath := "/ipns/" + w.name.String()
	const tenMinutes = "public, max-age=600"

	r := w.get(at + ipnsPath + "/index.html")
	check(t, r, 200, "Cache-Control", tenMinutes, "Last-Modified", epoch.Format(http.TimeFormat),
		"Etag", `"`+w.file+`"`, "X-Ipfs-Path", ipnsPath+"/index.html", "X-Ipfs-Roots", w.root+","+w.file,
		"Access-Control-Allow-Origin", "*")
	if !strings.Contains(strings.Join(r.Header.Values("Access-Control-Expose-Headers"), " "), "X-Ipfs-Path") {
		t.Error("scripts may not read X-Ipfs-Path")
	}
	if got := bodyOf(t, r); got != "<p>hi\n" {
		t.Errorf("body %q", got)
	}
	if r := w.get(at + ipnsPath + "/"); bodyOf(t, r) != "<p>hi\n" {
		t.Error("the folder's index.html is not shown")
	}
	check(t, w.get(at+ipnsPath+"/notes?a=b"), 301, "Location", ipnsPath+"/notes/?a=b")
	check(t, w.get(at+ipnsPath+"/notes/"), 200, "Cache-Control", tenMinutes+", stale-while-revalidate=2678400")
	check(t, w.get(at+ipnsPath+"/nope"), 404)
	check(t, w.get(at+ipnsPath+"/index.html", "If-None-Match", `"`+w.file+`"`), 304, "Etag", `"`+w.file+`"`)
	check(t, w.get(at+"/ipns/"+w.name.PeerID().String()+"/notes/?q"), 302, "Location", ipnsPath+"/notes/?q")
	check(t, w.get(at+"/ipns/example.com/index.html"), 200, "Cache-Control", tenMinutes)
	check(t, w.get(at+"/ipfs/"+w.root+"/index.html"), 200, "Cache-Control", "public, max-age=29030400, immutable", "Last-Modified", "")
	check(t, w.get(at+"/ipfs/nope"), 400)
	check(t, w.get(at+"/"), 404)
}

// Caching ends with the record's EOL. Records that others may replace are cached only for the rest of their TTL.
func TestCacheEnds(t *testing.T) {
	w := newWorld(t, Options{})
	own := at + "/ipns/" + w.name.String() + "/index.html"
	name, _ := w.publish(t, recordstore.Hosted, "/ipfs/"+w.root)
	hosted := at + "/ipns/" + name.String() + "/index.html"

	w.now = epoch.Add(60500 * time.Millisecond)
	check(t, w.get(hosted), 200, "Cache-Control", "public, max-age=540")
	check(t, w.get(own), 200, "Cache-Control", "public, max-age=600")
	w.now = epoch.Add(time.Hour - 30500*time.Millisecond)
	check(t, w.get(own), 200, "Cache-Control", "public, max-age=30")
	check(t, w.get(hosted), 200, "Cache-Control", "", "Last-Modified", "") // could not be confirmed
	w.now = epoch.Add(time.Hour)
	for _, url := range []string{own, hosted} {
		r := w.get(url)
		check(t, r, 500, "Cache-Control", "", "Etag", "")
		if b := bodyOf(t, r); !strings.Contains(b, "expired") {
			t.Errorf("body %q", b)
		}
	}
}

func TestResolveFailures(t *testing.T) {
	w := newWorld(t, Options{})
	check(t, w.get(at+"/ipns/QmInvalid/x"), 404)
	check(t, w.get(at+"/ipns/nowhere.example/"), 404)
	check(t, w.get(at+"/ipns/"+w.file+"/"), 400) // a CID, but not of a key
	check(t, w.get(at+"/ipns/loop.example/"), 508)
	check(t, w.get("http://loop.example/"), 400)
	for _, tt := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("search: %w", context.DeadlineExceeded), 504},
		{&resolver.UnknownError{Name: w.name, Err: context.DeadlineExceeded}, 504},
		{&resolver.UnknownError{Name: w.name}, 500},
		{resolver.ErrNotFound, 500},
		{resolver.ErrExpired, 500},
		{resolver.ErrBusy, 503},
		{fmt.Errorf("%q is %w", "x", resolver.ErrPath), 400},
		{fmt.Errorf("parse: %w", ipns.ErrName), 400},
		{resolver.ErrRecursion, 508},
		{fmt.Errorf("take record: %w", recordstore.ErrFull), 507},
		{fmt.Errorf("write: %w", syscall.ENOSPC), 507},
		{fmt.Errorf("take record: %w", recordstore.ErrConflict), 409},
	} {
		w.fail = tt.err
		for _, what := range []string{"/index.html", "?format=ipns-record"} {
			r := w.get(at + "/ipns/" + w.name.String() + what)
			check(t, r, tt.status, "Cache-Control", "", "Etag", "")
			if b := bodyOf(t, r); !strings.Contains(b, "failed to resolve /ipns/"+w.name.String()) || !strings.Contains(b, tt.err.Error()) {
				t.Errorf("body %q", b)
			}
		}
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

	// Every form of a name redirects to the same host, and so does a domain.
	dagPB := cid.NewCidV1(cid.DagProtobuf, w.name.CID().Hash()).String()
	check(t, w.get("http://localhost:8080/ipns/"+w.name.PeerID().String()+"/x"), 301, "Location", site+"/x")
	check(t, w.get("http://"+dagPB+".ipns.localhost:8080/x?q"), 301, "Location", site+"/x?q")
	check(t, w.get("http://localhost:8080/ipns/example.com/"), 301, "Location", "http://example.com.ipns.localhost:8080/")
	check(t, w.get("http://localhost/ipns/example.com/", "X-Forwarded-Proto", "https"), 301,
		"Location", "https://example-com.ipns.localhost/")
	for _, domain := range []string{"example.com", "example-com"} {
		check(t, w.get("http://"+domain+".ipns.localhost:8080/index.html"), 200, "Etag", `"`+w.file+`"`)
	}
	check(t, w.get("http://localhost:8080/?uri=ipns%3A%2F%2F"+name+"%2Fnotes"), 301, "Location", "/ipns/"+name+"/notes")

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

func TestRootRedirect(t *testing.T) {
	check(t, newWorld(t, Options{}).get(at+"/"), 404)
	w := newWorld(t, Options{RootRedirect: "/ipns/example.com"})
	resp := w.get(at + "/")
	check(t, resp, 302)
	if to := resp.Header.Get("Location"); to != "/ipns/example.com" {
		t.Errorf("sent to %q", to)
	}
	check(t, w.get(at+"/other"), 404)
}

func TestTrustlessOnly(t *testing.T) {
	w := newWorld(t, Options{TrustlessOnly: true})
	check(t, w.get(at+"/ipns/"+w.name.String()+"/index.html"), 406)
	check(t, w.get(at+"/ipfs/"+w.file), 406)
	check(t, w.get(at+"/ipfs/"+w.file+"?format=raw"), 200)
	check(t, w.get(at+"/ipns/"+w.name.String()+"?format=ipns-record"), 200)
}

// The setting of a host wins, in both directions; a host without one uses the default.
func TestAHostSaysWhatItServes(t *testing.T) {
	for _, all := range []bool{false, true} {
		paths := []string{"/ipfs/", "/ipns/"}
		w := newWorld(t, Options{TrustlessOnly: all, Hosts: map[string]*Host{
			"all.example":       {Paths: paths, TrustlessOnly: new(false)},
			"trustless.example": {Paths: paths, TrustlessOnly: new(true)},
			"as.example":        {Paths: paths},
		}})
		status := map[bool]int{false: 200, true: 406}
		check(t, w.get("http://all.example/ipfs/"+w.file), 200)
		check(t, w.get("http://trustless.example/ipfs/"+w.file), 406)
		check(t, w.get("http://as.example/ipfs/"+w.file), status[all])
	}
}

func TestLimitsAreThoseOfTheOptions(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		o    Options
		want [3]any
	}{
		{Options{}, [3]any{30 * time.Second, time.Hour, 1024}},
		{Options{RetrievalTimeout: &second, MaxRequestDuration: time.Minute, MaxConcurrentRequests: new(7)}, [3]any{second, time.Minute, 7}},
		{Options{RetrievalTimeout: new(time.Duration), MaxConcurrentRequests: new(0)}, [3]any{time.Duration(0), time.Hour, 0}},
	} {
		cfg := config(c.o)
		if got := [3]any{cfg.RetrievalTimeout, cfg.MaxRequestDuration, cfg.MaxConcurrentRequests}; got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}
