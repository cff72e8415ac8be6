package delegated_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
)

// author makes records of one name.
type author struct {
	signer ipns.Signer
	name   ipns.Name
}

func newAuthor(t testing.TB) author {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := ipns.NewSigner(key)
	name, err := ipns.NameOf(s.Public())
	if err != nil {
		t.Fatal(err)
	}
	return author{s, name}
}

func (a author) sign(t testing.TB, f ipns.Fields) *ipns.Record {
	t.Helper()
	if f.Value == "" {
		f.Value = "/ipfs/bafkqaaa"
	}
	if f.EOL.IsZero() {
		f.EOL = time.Now().Add(time.Hour)
	}
	rec, err := ipns.Sign(t.Context(), a.signer, f, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// shelf is a handler's records: what is put lies there.
type shelf struct {
	rec  *ipns.Record
	fail error
	at   time.Time
}

func (s *shelf) find(context.Context, ipns.Name) (*ipns.Record, time.Time, error) {
	if s.fail != nil {
		return nil, time.Time{}, s.fail
	}
	if s.rec == nil {
		return nil, time.Time{}, delegated.ErrNotFound
	}
	return s.rec, s.at, nil
}

func (s *shelf) take(_ *http.Request, rec *ipns.Record) error {
	switch {
	case s.fail != nil:
		return s.fail
	case s.rec != nil && ipns.Compare(rec, s.rec) < 0:
		return &delegated.NewerError{Current: s.rec}
	}
	s.rec = rec
	return nil
}

func (s *shelf) handler() *delegated.Handler {
	return &delegated.Handler{Find: s.find, Take: s.take, Opener: new(routing.Opener)}
}

func ask(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// T-40, T-41, T-45, T-50, T-51: what is wrong with a request is said by its status.
func TestEveryRequestHasItsStatus(t *testing.T) {
	a := newAuthor(t)
	rec := a.sign(t, ipns.Fields{TTL: time.Minute})
	other := newAuthor(t).sign(t, ipns.Fields{})
	path := "/routing/v1/ipns/" + a.name.String()
	raw := string(rec.Raw())
	const kind = ipns.RecordMediaType
	for _, c := range []struct {
		what, method, path, body string
		headers                  []string
		status                   int
		text                     string
	}{
		{"get", "GET", path, "", nil, 200, raw},
		{"get any type", "GET", path, "", []string{"Accept", "*/*"}, 200, raw},
		{"get this type", "GET", path, "", []string{"Accept", "text/html, " + kind + ";q=0.5"}, 200, raw},
		{"get another type", "GET", path, "", []string{"Accept", "text/html"}, 406, "content type in 'Accept' header is not supported, retry with '" + kind + "'\n"},
		{"get this type not", "GET", path, "", []string{"Accept", kind + ";q=0"}, 406, ""},
		{"head", "HEAD", path, "", nil, 200, ""},
		{"base58", "GET", "/routing/v1/ipns/" + a.name.PeerID().String(), "", nil, 200, raw},
		{"no name", "GET", "/routing/v1/ipns/nope", "", nil, 400, ""},
		{"another codec", "GET", "/routing/v1/ipns/bafkqaaa", "", nil, 400, "peer ID CID is not valid"},
		{"post", "POST", path, "", nil, 405, ""},
		{"a part of a method", "ET", path, "", nil, 405, ""},
		{"unknown below", "GET", "/routing/v1/nope/x", "", nil, 501, ""},
		{"deeper", "GET", path + "/x", "", nil, 501, ""},
		{"unknown", "GET", "/nope", "", nil, 404, ""},
		{"put", "PUT", path, raw, []string{"Content-Type", kind}, 200, ""},
		{"put a type with parameters", "PUT", path, raw, []string{"Content-Type", kind + "; charset=binary"}, 200, ""},
		{"put without a type", "PUT", path, raw, nil, 406, "content type in 'Content-Type' header is missing or not supported"},
		{"put another type", "PUT", path, raw, []string{"Content-Type", "application/json"}, 406, ""},
		{"put of another name", "PUT", path, string(other.Raw()), []string{"Content-Type", kind}, 400, "provided record is invalid: "},
		{"put junk", "PUT", path, "junk", []string{"Content-Type", kind}, 400, "provided record is invalid: "},
		{"put nothing", "PUT", path, "", []string{"Content-Type", kind}, 400, "provided record is invalid: "},
		{"put as long as may be", "PUT", path, strings.Repeat("x", ipns.MaxRecordSize), []string{"Content-Type", kind}, 400, "provided record is invalid: "},
		{"put a byte more", "PUT", path, strings.Repeat("x", ipns.MaxRecordSize+1), []string{"Content-Type", kind}, 413, "provided record is too long\n"},
	} {
		s := &shelf{rec: rec, at: time.Now()}
		w := ask(s.handler(), c.method, c.path, c.body, c.headers...)
		if w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.text) {
			t.Errorf("%s: %d %q, want %d %q", c.what, w.Code, w.Body, c.status, c.text)
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "*" && c.status != 404 {
			t.Errorf("%s: pages can't read it", c.what)
		}
	}
}

// A body whose length nobody tells is cut off at the limit, and not taken.
func TestABodyOfUnknownLengthIsRefusedAtTheLimit(t *testing.T) {
	a := newAuthor(t)
	s := &shelf{}
	r := httptest.NewRequest("PUT", "/routing/v1/ipns/"+a.name.String(), io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20))))
	r.ContentLength = -1
	r.Header.Set("Content-Type", ipns.RecordMediaType)
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge || s.rec != nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// T-42, T-44: caches keep a record for its TTL, and never beyond its end.
func TestCachesKeepARecordForItsTTLAndNeverBeyondItsEnd(t *testing.T) {
	a := newAuthor(t)
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		ttl, left time.Duration
		want      string
	}{
		{time.Minute, time.Hour, "public, max-age=60, stale-while-revalidate=3540, stale-if-error=3540"},
		{time.Hour, time.Minute, "public, max-age=60, stale-while-revalidate=0, stale-if-error=0"},
		{0, time.Hour, "public, max-age=0, stale-while-revalidate=3600, stale-if-error=3600"},
		{1500 * time.Millisecond, 2500 * time.Millisecond, "public, max-age=1, stale-while-revalidate=1, stale-if-error=1"},
		{time.Minute, 500 * time.Millisecond, "no-store"},
	} {
		s := &shelf{rec: a.sign(t, ipns.Fields{TTL: c.ttl, EOL: now.Add(c.left)}), at: now.Add(-time.Minute)}
		h := s.handler()
		h.Now = func() time.Time { return now }
		w := ask(h, "GET", "/routing/v1/ipns/"+a.name.String(), "")
		head := w.Header()
		if got := head.Get("Cache-Control"); got != c.want {
			t.Errorf("TTL %v, %v left: %q, want %q", c.ttl, c.left, got, c.want)
		}
		for key, want := range map[string]string{
			"Content-Type": ipns.RecordMediaType, "Expires": now.Add(c.left).Format(http.TimeFormat), "Vary": "Accept",
			"Last-Modified": "Wed, 02 Jan 2030 03:03:05 GMT", "Content-Disposition": `attachment; filename="` + a.name.String() + `.ipns-record"`,
		} {
			if got := head.Get(key); got != want {
				t.Errorf("%s: %q, want %q", key, got, want)
			}
		}
	}
}

// Who has the record already is told so, and no more.
func TestWhoHasTheRecordIsToldSo(t *testing.T) {
	a := newAuthor(t)
	s := &shelf{rec: a.sign(t, ipns.Fields{})}
	path := "/routing/v1/ipns/" + a.name.String()
	etag := ask(s.handler(), "GET", path, "").Header().Get("Etag")
	if !strings.HasPrefix(etag, `"`) || len(etag) < 18 {
		t.Fatalf("Etag %s", etag)
	}
	for value, status := range map[string]int{
		etag: 304, "W/" + etag: 304, "*": 304, `"x", ` + etag: 304, `"x"`: 200, etag[:5] + `"`: 200,
	} {
		w := ask(s.handler(), "GET", path, "", "If-None-Match", value)
		if w.Code != status || (w.Body.Len() == 0) != (status == 304) || w.Header().Get("Etag") != etag || w.Header().Get("Cache-Control") == "" {
			t.Errorf("If-None-Match %s: %d, %d bytes, %v", value, w.Code, w.Body.Len(), w.Header())
		}
	}
	s.rec = a.sign(t, ipns.Fields{Sequence: 1})
	if w := ask(s.handler(), "GET", path, "", "If-None-Match", etag); w.Code != 200 {
		t.Errorf("another record: %d", w.Code)
	}
}

// T-43, T-46, T-52, T-53: what the functions say has a status each.
func TestEveryErrorHasItsStatus(t *testing.T) {
	a := newAuthor(t)
	old, now := a.sign(t, ipns.Fields{}), a.sign(t, ipns.Fields{Sequence: 1})
	path := "/routing/v1/ipns/" + a.name.String()
	for _, c := range []struct {
		method string
		fail   error
		status int
		text   string
	}{
		{"GET", delegated.ErrNotFound, 200, "delegate error: routing: not found\n"},
		{"GET", context.DeadlineExceeded, 504, "delegate error: context deadline exceeded\n"},
		{"GET", errors.New("boom"), 500, "delegate error: boom\n"},
		{"GET", &delegated.LimitError{RetryAfter: 1500 * time.Millisecond, Err: errors.New("too many")}, 429, "too many\n"},
		{"PUT", errors.New("boom"), 500, "delegate error: boom\n"},
		{"PUT", delegated.ErrRefused, 403, "records of others are not taken here\n"},
		{"PUT", &delegated.LimitError{RetryAfter: 1500 * time.Millisecond, Err: errors.New("10 a minute")}, 429, "10 a minute\n"},
		{"PUT", &delegated.NewerError{Current: now}, 409, string(now.Raw())},
		{"PUT", &delegated.NewerError{}, 409, "a better record exists\n"},
	} {
		s := &shelf{fail: c.fail}
		w := ask(s.handler(), c.method, path, string(old.Raw()), "Content-Type", ipns.RecordMediaType)
		if w.Code != c.status || w.Body.String() != c.text {
			t.Errorf("%s, %v: %d %q, want %d", c.method, c.fail, w.Code, w.Body, c.status)
		}
		if kind := w.Header().Get("Content-Type"); (kind == ipns.RecordMediaType) != (c.text == string(now.Raw())) {
			t.Errorf("%s, %v: %s", c.method, c.fail, kind)
		}
		if c.status == 429 && w.Header().Get("Retry-After") != "2" {
			t.Errorf("Retry-After: %q", w.Header().Get("Retry-After"))
		}
	}
	expired := &shelf{rec: old}
	h := expired.handler()
	h.Now = func() time.Time { return old.EOL() }
	if w := ask(h, "GET", path, ""); w.Code != 200 || w.Header().Get("Content-Type") == ipns.RecordMediaType {
		t.Errorf("an expired record: %d %v", w.Code, w.Header())
	}
}

// T-47: pages of any origin may ask, write if others may, and read what matters.
func TestPagesOfAnyOriginMayAsk(t *testing.T) {
	a := newAuthor(t)
	h := (&shelf{}).handler()
	path := "/routing/v1/ipns/" + a.name.String()
	w := ask(h, "OPTIONS", path, "", "Origin", "https://app.example", "Access-Control-Request-Method", "PUT")
	head := w.Header()
	if w.Code != 204 || head.Get("Access-Control-Allow-Methods") != "GET, HEAD, PUT, OPTIONS" || !strings.Contains(head.Get("Access-Control-Allow-Headers"), "If-None-Match") {
		t.Errorf("%d %v", w.Code, head)
	}
	h.Take = nil
	if w := ask(h, "OPTIONS", path, ""); strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "PUT") {
		t.Errorf("PUT is offered where nothing is taken: %v", w.Header())
	}
	if w := ask(h, "PUT", path, ""); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("PUT where nothing is taken: %d %v", w.Code, w.Header())
	}
}

func peers(t *testing.T, n int) []peer.AddrInfo {
	t.Helper()
	var list []peer.AddrInfo
	for i := range n {
		p := peer.AddrInfo{ID: newAuthor(t).name.PeerID()}
		p.Addrs = []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/8.8.8.8/tcp/%d", i+1)), ma.StringCast("/ip4/8.8.8.8/udp/1/quic-v1")}
		list = append(list, p)
	}
	return append(list, peer.AddrInfo{ID: newAuthor(t).name.PeerID()})
}

func yields(list []peer.AddrInfo, end error) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		for _, p := range list {
			if !yield(p, nil) {
				return
			}
		}
		if end != nil {
			yield(peer.AddrInfo{}, end)
		}
	}
}

// Peers come as a document or as a stream, filtered as IPIP-484 says.
func TestPeersComeAsADocumentOrAStream(t *testing.T) {
	list := peers(t, 30)
	var end error
	h := &delegated.Handler{
		Providers: func(context.Context, cid.Cid) iter.Seq2[peer.AddrInfo, error] { return yields(list, end) },
		Peer:      func(context.Context, peer.ID) iter.Seq2[peer.AddrInfo, error] { return yields(list[:1], end) },
		Closest:   func(context.Context, cid.Cid) iter.Seq2[peer.AddrInfo, error] { return yields(nil, end) },
	}
	first := fmt.Sprintf(`{"Schema":"peer","ID":"%s","Addrs":["/ip4/8.8.8.8/tcp/1","/ip4/8.8.8.8/udp/1/quic-v1"],"Protocols":[]}`, list[0].ID)
	id := list[0].ID.String()
	for _, c := range []struct {
		path, accept string
		status       int
		text         string
		lines        int
	}{
		{"providers/bafkqaaa", "", 200, `{"Providers":[` + first, 1},
		{"providers/bafkqaaa", "application/x-ndjson", 200, first + "\n", 31},
		{"providers/bafkqaaa?filter-addrs=quic-v1", "application/x-ndjson", 200, strings.Replace(first, `"/ip4/8.8.8.8/tcp/1",`, "", 1), 30},
		{"providers/bafkqaaa?filter-addrs=!quic-v1,unknown", "application/x-ndjson", 200, strings.Replace(first, `,"/ip4/8.8.8.8/udp/1/quic-v1"`, "", 1), 31},
		{"providers/bafkqaaa?filter-protocols=unknown,transport-bitswap", "application/x-ndjson", 200, first, 31},
		{"providers/bafkqaaa?filter-protocols=transport-bitswap", "", 200, `{"Providers":[]}`, 1},
		{"providers/nope", "", 400, "unable to parse CID", 1},
		{"providers/bafkqaaa", "text/html", 406, "", 1},
		{"peers/" + id, "", 200, `{"Peers":[` + first, 1},
		{"peers/" + newAuthor(t).name.String(), "", 200, `{"Peers":[` + first, 1},
		{"peers/nope", "", 400, "unable to parse PeerID", 1},
		{"dht/closest/peers/" + id, "", 200, `{"Peers":[]}`, 1},
		{"dht/closest/peers/bafkqaaa", "application/x-ndjson", 200, "", 0},
	} {
		var headers []string
		if c.accept != "" {
			headers = []string{"Accept", c.accept}
		}
		w := ask(h, "GET", "/routing/v1/"+c.path, "", headers...)
		if w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.text) || strings.Count(w.Body.String(), "\n") != c.lines {
			t.Errorf("%s: %d %d lines %.300q, want %d %d lines %q", c.path, w.Code, strings.Count(w.Body.String(), "\n"), w.Body, c.status, c.lines, c.text)
		}
	}
	if n := strings.Count(ask(h, "GET", "/routing/v1/providers/bafkqaaa", "").Body.String(), "Schema"); n != 20 {
		t.Errorf("a document of %d peers", n)
	}
	list, end = nil, errors.New("boom")
	for _, accept := range []string{"*/*", "application/x-ndjson"} {
		if w := ask(h, "GET", "/routing/v1/providers/bafkqaaa", "", "Accept", accept); w.Code != 500 {
			t.Errorf("a failure: %d %s", w.Code, w.Body)
		}
	}
}

// As many lookups of peers go on as there may be; one more is told to come again.
func TestLookupsOfPeersAreLimited(t *testing.T) {
	const most = 128
	entered, leave := make(chan struct{}), make(chan struct{})
	h := &delegated.Handler{Peer: func(context.Context, peer.ID) iter.Seq2[peer.AddrInfo, error] {
		entered <- struct{}{}
		<-leave
		return yields(nil, nil)
	}}
	path := "/routing/v1/peers/" + newAuthor(t).name.String()
	var wg sync.WaitGroup
	for range most {
		wg.Go(func() { ask(h, "GET", path, "") })
		<-entered
	}
	if w := ask(h, "GET", path, ""); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("one more: %d %v", w.Code, w.Header())
	}
	close(leave)
	wg.Wait()
	go func() { <-entered }()
	if w := ask(h, "GET", path, ""); w.Code != http.StatusOK {
		t.Errorf("when they are over: %d", w.Code)
	}
}

// Answers that were prepared are those of the record that Find says now, and take no more
// memory than they may.
func TestPreparedAnswersAreThoseOfTheRecordOfNow(t *testing.T) {
	a := newAuthor(t)
	s := &shelf{at: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	h := s.handler()
	path := "/routing/v1/ipns/"
	for i := range uint64(3) {
		s.rec = a.sign(t, ipns.Fields{Sequence: i})
		s.at = s.at.Add(time.Hour)
		for _, text := range []string{a.name.String(), a.name.PeerID().String(), a.name.String()} {
			w := ask(h, "GET", path+text, "")
			if w.Body.String() != string(s.rec.Raw()) || w.Header().Get("Last-Modified") != s.at.Format(http.TimeFormat) ||
				!strings.Contains(w.Header().Get("Content-Disposition"), a.name.String()) {
				t.Errorf("sequence %d: %x %v", i, w.Body, w.Header())
			}
		}
	}
	// The same record, and it was first seen at another time.
	s.at = s.at.Add(time.Hour)
	if w := ask(h, "GET", path+a.name.String(), ""); w.Header().Get("Last-Modified") != s.at.Format(http.TimeFormat) {
		t.Errorf("Last-Modified: %v", w.Header())
	}
	s.rec = nil
	if w := ask(h, "GET", path+a.name.String(), ""); w.Header().Get("Content-Type") == ipns.RecordMediaType {
		t.Errorf("a record that is gone: %v", w.Header())
	}
}
