package gateway

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/recordstore"
)

// sites are what the answers of two gateways are compared for: one that keeps them, and one that keeps none.
type sites struct {
	*world
	bare  http.Handler
	paths []string // below /ipns/ or /ipfs/
	hosts []string
	tags  []string
}

var siteFiles = map[string]string{
	"index.html":          "<!doctype html><p>hi",
	"empty":               "",
	"a.txt":               "text",
	"page":                "<html><body>sniffed",
	"data.json":           `{"a":1}`,
	"a b%20;é.css":        "p{}",
	"x..y/~z":             "tilde",
	"dir/index.html":      "below",
	"plain/one":           "1",
	"limit.bin":           strings.Repeat("x", maxAnswer),
	"larger.bin":          strings.Repeat("x", maxAnswer+1),
	"chunks.bin":          strings.Repeat("chunks", 100_000),
	"_redirects":          "/moved /a.txt 302\n/app/* /index.html 200\n/gone /a.txt 410\n",
	"x.svg":               "<svg/>",
	"back\\slash":         "\\",
	"ipfs-404.html":       "own page of errors",
	"deep/er/est/file.js": "0",
}

func newSites(t *testing.T) *sites {
	headers := map[string][]string{"X-Own": {"1"}, "Cache-Control": {"private"}}
	hosts := map[string]*Host{
		"gw.example":     {Paths: []string{"/ipfs/", "/ipns/"}},
		"sub.example":    {Paths: []string{"/ipfs/", "/ipns/"}, UseSubdomains: true},
		"verify.example": {Paths: []string{"/ipfs/", "/ipns/"}, TrustlessOnly: new(true)},
	}
	s := &sites{world: newWorld(t, Options{Hosts: hosts, Headers: headers})}
	add := func(o content.AddOptions, modified time.Time) string {
		tree := func(yield func(content.Entry, error) bool) {
			for _, name := range slices.Sorted(maps.Keys(siteFiles)) {
				if !yield(content.Entry{Path: "site/" + name, Content: strings.NewReader(siteFiles[name]), ModTime: modified}, nil) {
					return
				}
			}
			yield(content.Entry{Path: "site/link", Mode: fs.ModeSymlink, Target: "a.txt"}, nil)
		}
		root := ""
		for a, err := range s.store.Add(t.Context(), tree, o) {
			if err != nil {
				t.Fatal(err)
			}
			s.tags = append(s.tags, a.CID.String())
			root = a.CID.String()
		}
		return root
	}
	plain := add(content.AddOptions{CIDVersion: 1}, time.Time{})
	timed := add(content.AddOptions{KeepModTime: true}, epoch.Add(-48*time.Hour))
	own, _ := s.publish(t, recordstore.Own, "/ipfs/"+plain)
	dated, _ := s.publish(t, recordstore.Own, "/ipfs/"+timed)
	below, _ := s.publish(t, recordstore.Hosted, "/ipfs/"+plain+"/deep")
	s.Static = map[string]string{"site.example": "/ipns/" + own.String(), "under_score.example": "/ipfs/" + timed, "one": "/ipfs/" + plain}
	s.hosts = []string{"127.0.0.1:8080", "localhost:8080", "gw.example", "verify.example", "site.example", "example.com"}
	for _, root := range []string{
		"/ipfs/" + plain, "/ipfs/" + timed, "/ipns/" + own.String(), "/ipns/" + dated.String(), "/ipns/" + below.String(),
		"/ipns/site.example", "/ipns/under_score.example", "/ipns/one", "/ipns/" + own.PeerID().String(), "/ipns/Site.example", "/ipns/site.example.",
	} {
		for name := range siteFiles {
			s.paths = append(s.paths, root+"/"+(&url.URL{Path: name}).EscapedPath())
		}
		for _, rest := range []string{"", "/", "/dir", "/dir/", "/dir//index.html", "/plain/", "/./a.txt", "/link", "/nope", "/app/x", "/app/y.txt", "/moved", "/gone", "/%ff", "/a.txt/", "/er/est/file.js", "/er/"} {
			s.paths = append(s.paths, root+rest)
		}
		_, label, _ := strings.Cut(root[1:], "/")
		s.hosts = append(s.hosts, label+"."+root[1:5]+".localhost:8080", label+"."+root[1:5]+".sub.example")
	}
	slices.Sort(s.paths)
	var changes atomic.Uint64
	var err error
	// Whatever is kept is out of date at once.
	s.bare, err = newGateway(Options{Content: s.store, Names: s.world, Now: func() time.Time { return s.now }, Hosts: hosts, Headers: headers},
		func() uint64 { return changes.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// question is drawn so that most are of the kind that is answered from what is kept.
func (s *sites) question(t *rapid.T) func() *http.Request {
	host := rapid.SampledFrom(s.hosts).Draw(t, "host")
	path := rapid.SampledFrom(s.paths).Draw(t, "path")
	if strings.Contains(host, ".ip") || host == "site.example" || host == "example.com" {
		parts := strings.SplitN(path, "/", 4)
		path = "/"
		if len(parts) == 4 {
			path += parts[3]
		}
	}
	method := rapid.SampledFrom([]string{"GET", "GET", "GET", "HEAD", "HEAD", "OPTIONS", "POST"}).Draw(t, "method")
	query := rapid.SampledFrom([]string{"", "", "", "", "", "?", "?a=b", "?format=raw", "?filename=x.txt", "?download=true&filename=é"}).Draw(t, "query")
	header := http.Header{}
	tag := `"` + rapid.SampledFrom(s.tags).Draw(t, "tag") + `"`
	for _, h := range []struct {
		name   string
		values []string
	}{
		{"Accept", []string{
			"*/*", "text/html", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "image/png,*/*;q=0.5", "image/png",
			"application/vnd.ipld.raw", "text/html, application/vnd.ipld.car", "application/json", "text/html;q=0.1,application/x-tar", "*/*;q=0.1", " text/html ; q=1", "",
		}},
		{"If-None-Match", []string{tag, "W/" + tag, `"x", ` + tag, "*", `"x"`, "x", `"DirIndex-` + tag[1:], `"x",,W/` + tag + `,`, tag + ` , bad`, `bad, ` + tag, ""}},
		{"If-Modified-Since", []string{epoch.Format(http.TimeFormat), epoch.AddDate(0, 0, -3).Format(http.TimeFormat)}},
		{"If-Match", []string{tag, "*", `"x"`}},
		{"If-Unmodified-Since", []string{epoch.AddDate(0, 0, -3).Format(http.TimeFormat)}},
		{"Range", []string{"bytes=0-1", "bytes=-2", "bytes=5-", "x"}},
		{"If-Range", []string{tag}},
		{"Cache-Control", []string{"no-cache", "max-age=0", "only-if-cached"}},
		{"Service-Worker", []string{"script"}},
		{"X-Forwarded-Proto", []string{"https", "http"}},
		{"X-Forwarded-Host", []string{"gw.example", "verify.example"}},
		{"Pragma", []string{"no-cache"}},
	} {
		often := h.name == "Accept" || h.name == "If-None-Match"
		if n := rapid.IntRange(0, 11).Draw(t, h.name+" sent"); n > 0 && !(often && n < 4) {
			continue
		}
		header[h.name] = []string{rapid.SampledFrom(h.values).Draw(t, h.name)}
	}
	return func() *http.Request {
		r := httptest.NewRequest(method, path+query, nil)
		r.Host, r.Header = host, header.Clone()
		return r
	}
}

// show is an answer as text.
func show(h http.Handler, r *http.Request) string {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	res := rec.Result()
	res.Header.Del("Date")
	body := rec.Body.Bytes()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n", res.Status)
	for _, key := range slices.Sorted(maps.Keys(res.Header)) {
		fmt.Fprintf(&b, "%s: %q\n", key, res.Header[key])
	}
	if len(body) > 2000 {
		body = fmt.Appendf(nil, "%d bytes, %x", len(body), body[:64])
	}
	fmt.Fprintf(&b, "\n%s", body)
	return b.String()
}

func TestKeptAnswersAreThoseOfBoxo(t *testing.T) {
	s := newSites(t)
	kept := 0
	rapid.Check(t, func(t *rapid.T) {
		s.now = epoch.Add(time.Duration(rapid.IntRange(0, 3500).Draw(t, "seconds")) * time.Second)
		request := s.question(t)
		show(s.Handler, httptest.NewRequest("GET", request().URL.String(), nil)) // perhaps it is kept now
		plain := request()
		plain.Method, plain.Header, plain.URL.RawQuery = "GET", nil, ""
		show(s.Handler, plain)
		want := show(s.bare, request())
		if strings.HasPrefix(want, "200 ") || strings.HasPrefix(want, "304 ") {
			kept++
		}
		for range 2 {
			if got := show(s.Handler, request()); got != want {
				r := request()
				t.Fatalf("%s %s %s %v\nkept:\n%s\n\nof boxo:\n%s", r.Method, r.Host, r.URL, r.Header, got, want)
			}
		}
	})
	if kept == 0 {
		t.Error("no answer was of the kind that is kept")
	}
}

// counted counts the requests that reach it.
func counted(n *int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*n++
		next.ServeHTTP(w, r)
	})
}

// A file of a name is fetched once; the name is looked up each time.
func TestAnswersAreKeptUntilBlocksAreDeleted(t *testing.T) {
	w := newWorld(t, Options{})
	passed := 0
	s := newAnswers(config(Options{}), Options{Names: w, Now: func() time.Time { return w.now }}, w.store.Changes, counted(&passed, w.Handler))
	w.Handler = visits(w, s)
	url := at + "/ipns/" + w.name.String() + "/index.html"
	for i, c := range []struct {
		header []string
		status int
		passed int
	}{
		{nil, 200, 1},
		{nil, 200, 1},
		{[]string{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"}, 200, 1},
		{[]string{"Accept", "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"}, 200, 1},
		{[]string{"Accept", "text/css,*/*;q=0.1"}, 200, 1},
		{[]string{"If-None-Match", `"x", W/"` + w.file + `"`}, 304, 1},
		{[]string{"If-None-Match", `*`}, 304, 1},
		{[]string{"If-None-Match", `"x"`}, 200, 1},
		{[]string{"Range", "bytes=0-1"}, 206, 2},
		{[]string{"Cache-Control", "no-cache"}, 200, 3},
		{[]string{"Accept", "application/vnd.ipld.raw"}, 200, 4},
	} {
		check(t, w.get(url, c.header...), c.status)
		if passed != c.passed {
			t.Fatalf("request %d, %v: %d requests were passed on, want %d", i, c.header, passed, c.passed)
		}
	}
	check(t, w.do("HEAD", url), 200, "Content-Length", "6")
	if passed != 4 {
		t.Error("HEAD was passed on")
	}

	// The value is that of now, and others with the same file share what is kept.
	other, _ := w.publish(t, recordstore.Own, "/ipfs/"+w.root)
	check(t, w.get(at+"/ipns/"+other.String()+"/index.html"), 200, "X-Ipfs-Path", "/ipns/"+other.String()+"/index.html")
	check(t, w.get(at+"/ipfs/"+w.root+"/index.html"), 200, "Cache-Control", immutable, "Last-Modified", "")
	if passed != 4 {
		t.Error("another name of the same file was passed on")
	}
	w.now = epoch.Add(time.Hour)
	check(t, w.get(url), 500) // expired

	w.now = epoch
	file, err := cid.Decode(w.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.DropBlock(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	check(t, w.get(url), 404)
}

func TestKeptAnswersAreBounded(t *testing.T) {
	s := newAnswers(config(Options{}), Options{}, func() uint64 { return 0 }, nil)
	body := make([]byte, maxAnswer)
	key := func(i int) answerKey { return answerKey{path: fmt.Sprint(i)} }
	const many = 2 * maxAnswers / maxAnswer
	for i := range many {
		s.keep(&answer{key: key(i), body: body}, 0)
		if s.find(key(0)) == nil {
			t.Fatalf("the one that was used last is gone after %d", i)
		}
	}
	if s.bytes > maxAnswers || len(s.kept) < maxAnswers/(maxAnswer+2*answerCost) {
		t.Errorf("%d answers of %d bytes are kept", len(s.kept), s.bytes)
	}
	before := s.bytes
	s.keep(&answer{key: key(-1), header: http.Header{"X-Ipfs-Roots": {strings.Repeat("x", 10<<20)}}}, 0)
	if s.bytes > maxAnswers || s.bytes < before-(10<<20) || s.find(key(-1)) == nil {
		t.Errorf("%d bytes with a header of 10 MB", s.bytes)
	}
	if s.find(key(many-1)) == nil || s.find(key(1)) != nil {
		t.Error("it is not the one used longest ago that made room")
	}
}

// What was read before blocks were deleted is not kept after it.
func TestAnswerThatDeletionOvertookIsNotKept(t *testing.T) {
	changes := uint64(0)
	s := newAnswers(config(Options{}), Options{}, func() uint64 { return changes }, nil)
	a := &answer{key: answerKey{path: "x"}}
	before := s.changes()
	changes++
	s.keep(a, before)
	if s.find(a.key) != nil {
		t.Error("kept")
	}
	s.keep(a, changes)
	if s.find(a.key) == nil {
		t.Error("not kept")
	}
}

// An answer that breaks off is not kept.
func TestOnlyWholeAnswersAreKept(t *testing.T) {
	for _, sent := range []string{"1234", "123", "12345"} {
		rec := &recorder{ResponseWriter: httptest.NewRecorder()}
		rec.Header().Set("X-Ipfs-Roots", "a,b")
		rec.Header().Set("Etag", `"b"`)
		rec.Header().Set("Content-Length", "4")
		rec.WriteHeader(200)
		for i := range sent {
			_, _ = rec.Write([]byte{sent[i]})
		}
		if got := rec.answer() != nil; got != (len(sent) == 4) {
			t.Errorf("%q: %v", sent, got)
		}
	}
}
