package gateway

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestPageOfAnErrorSaysWhatIsKnown(t *testing.T) {
	w := newWorld(t, Options{Diagnose: new("https://check.example/find")})
	name, _ := w.publish(t, recordstore.Hosted, "/ipfs/"+w.root)
	path := "/ipns/" + name.String() + "/index.html"
	page := func(url string, status int, want ...string) {
		t.Helper()
		r := w.get(url, "Accept", browser)
		check(t, r, status, "Content-Type", "text/html; charset=utf-8", "Cache-Control", "no-store", "Content-Security-Policy", pagePolicy,
			"X-Content-Type-Options", "nosniff", "Etag", "", "Last-Modified", "")
		body := bodyOf(t, r)
		for _, s := range want {
			if !strings.Contains(body, html.EscapeString(s)) {
				t.Errorf("%s: no %q in\n%s", url, s, body)
			}
		}
	}
	w.fail = &resolver.UnknownError{Name: name, Asked: 20, Answered: 12}
	since := w.now
	page(at+path, 500, path, "12 of 20 servers answered", "Without an answer since", since.Format(time.RFC1123),
		"Last known value", "/ipfs/"+w.root, "sequence 0", epoch.Add(time.Hour).Format(time.RFC1123), "failed to resolve /ipns/"+name.String())
	w.now = epoch.Add(10 * time.Minute)
	page(at+path, 500, since.Format(time.RFC1123)) // not since now
	w.fail = nil
	check(t, w.get(at+path, "Accept", browser), 200, "Content-Type", "text/html")
	w.fail = &resolver.UnknownError{Name: name}
	page(at+path, 500, w.now.Format(time.RFC1123), "No server could be asked") // it did resolve meanwhile
	w.fail = resolver.ErrNotFound
	page(at+path, 500, "Nobody has a record")
	w.fail = nil
	w.now = epoch.Add(2 * time.Hour)
	page(at+path, 500, "has expired", "publish the name again", "/ipfs/"+w.root)
	page("http://"+name.String()+".ipns.localhost/index.html", 500, "has expired", "/index.html")
	page(at+"/ipfs/"+w.root+"/nope", 404, "There is nothing at this address", "/ipfs/"+w.root+"/nope")
	page(at+"/ipfs/nope", 400, "not valid")
	page(at+"/", 404)
	page("http://nowhere.example.ipns.localhost/", 404, "nowhere.example")

	// Who does not ask for a page gets text, and so does everybody if the config says so.
	for _, accept := range []string{"", "*/*", "text/plain", "application/json", "text/plain, text/html;q=0.9", "text/html;q=0"} {
		r := w.get(at+path, "Accept", accept)
		check(t, r, 500, "Content-Type", "text/plain; charset=utf-8", "Cache-Control", "")
		if b := bodyOf(t, r); !strings.HasPrefix(b, "failed to resolve ") {
			t.Errorf("%s: %q", accept, b)
		}
	}
	plain := newWorld(t, Options{PlainErrors: true})
	check(t, plain.get(at+"/ipfs/nope", "Accept", browser), 400, "Content-Type", "text/plain; charset=utf-8")
}

func TestPagesOfTheSiteItselfStay(t *testing.T) {
	s := newSites(t)
	for _, host := range s.hosts {
		if !strings.Contains(host, ".ipns.localhost") {
			continue
		}
		r := s.get("http://"+host+"/gone", "Accept", browser)
		if r.StatusCode == 301 || r.StatusCode == 302 || r.StatusCode == 404 {
			continue // not a canonical host
		}
		check(t, r, 410, "Content-Type", "text/html", "Content-Length", "4")
		if b := bodyOf(t, r); b != "text" && !strings.Contains(b, "Redirect") {
			t.Errorf("%s: %q", host, b)
		}
	}
}

func TestTroublesAreBounded(t *testing.T) {
	var all troubles
	for i := range 3 * maxTroubles {
		all.failed(fmt.Sprint(i), epoch.Add(time.Duration(i)))
		if got := all.failed("first", epoch); !got.Equal(epoch) {
			t.Fatal("what is asked for again and again was forgotten")
		}
	}
	if len(all.since) != maxTroubles || all.recent.Len() != maxTroubles {
		t.Errorf("%d, %d are kept", len(all.since), all.recent.Len())
	}
	if all.failed(strings.Repeat("x", maxRoot+1), epoch); len(all.since) != maxTroubles {
		t.Error("a root that is none is remembered")
	}
	for root := range all.since {
		all.over(root)
	}
	if all.any.Load() {
		t.Error("some are left")
	}
}

// skeleton is the elements of a page, with the names of their attributes.
func skeleton(t *testing.T, page string) (elements []string, links []string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.CommentNode {
			elements = append(elements, "comment")
		}
		if n.Type != html.ElementNode {
			continue
		}
		e := n.Data
		for _, a := range n.Attr {
			e += " " + a.Key
			if a.Key == "href" {
				links = append(links, a.Val)
			}
		}
		elements = append(elements, e)
	}
	return elements, links
}

// Whatever is asked, the page has the elements that it has for a harmless request, and no links to elsewhere.
func FuzzPageOfAnErrorEscapesWhatWasAsked(f *testing.F) {
	for _, path := range []string{
		"/ipns/a/b", `/ipfs/<script>alert(1)</script>/"><img src=x onerror=alert(1)>`, "/ipns/k'%22%3E/<!--", "/ipns//evil.example/x",
		"/ipns/\xff\xfe/\x00", "/ipfs/{{.}}/</title></style>", "/ipns/javascript:alert(1)/x", "/ipfs/é/\u202e",
	} {
		f.Add(path, "127.0.0.1", "no")
		f.Add("/ipns/x/", `<b>.ipns.localhost`, path)
	}
	f.Fuzz(func(t *testing.T, path, host, text string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL, r.Host = &url.URL{Path: path}, host
		v := &visit{ctx: r.Context()}
		v.lost(path, fmt.Errorf("%s: %w", text, resolver.ErrNotFound), epoch)
		e := &errorPages{names: &script{}}
		rec := httptest.NewRecorder()
		p := problem{Status: 500, Asked: path, Host: host, Text: text, Last: "x" + text, Sequence: "1", LastTill: text, Site: "/"}
		p.explain(v.loss().err)
		if err := pageTemplate.Execute(rec, p); err != nil {
			t.Fatal(err)
		}
		want, _ := skeleton(t, harmless(t))
		got, _ := skeleton(t, rec.Body.String())
		if !slices.Equal(got, want) {
			t.Fatalf("%q\n%q\n%s", got, want, rec.Body)
		}
		rec = httptest.NewRecorder()
		e.show(rec, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)), path, &pageWriter{status: 500, text: []byte(text)})
		if _, links := skeleton(t, rec.Body.String()); len(links) > 1 || len(links) == 1 && !strings.HasPrefix(links[0], "/ipfs/") && !strings.HasPrefix(links[0], "/ipns/") {
			t.Errorf("links %q", links)
		}
	})
}

func harmless(t *testing.T) string {
	rec := httptest.NewRecorder()
	p := problem{Status: 500, Asked: "x", Host: "x", Text: "x", Last: "x", Sequence: "1", LastTill: "x", Site: "/"}
	p.explain(resolver.ErrNotFound)
	if err := pageTemplate.Execute(rec, p); err != nil {
		t.Fatal(err)
	}
	return rec.Body.String()
}
