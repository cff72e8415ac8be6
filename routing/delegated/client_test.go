package delegated_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
)

// archive keeps the newest record of every name.
type archive struct {
	mu      sync.Mutex
	records map[ipns.Name]*ipns.Record
}

func (a *archive) handler() *delegated.Handler {
	return &delegated.Handler{
		Find: func(_ context.Context, name ipns.Name) (*ipns.Record, time.Time, error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			rec := a.records[name]
			if rec == nil {
				return nil, time.Time{}, delegated.ErrNotFound
			}
			return rec, time.Now(), nil
		},
		Take: func(_ *http.Request, rec *ipns.Record) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			if old := a.records[rec.Name()]; old != nil && ipns.Compare(rec, old) < 0 {
				return &delegated.NewerError{Current: old}
			}
			a.records[rec.Name()] = rec
			return nil
		},
		Opener: new(routing.Opener),
	}
}

func client(t *testing.T, url string) *delegated.Client {
	t.Helper()
	c, err := delegated.New(delegated.Config{URL: url, Opener: new(routing.Opener)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func server(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// T-61, T-62: a server is named with and without the path of the API.
func TestAServerIsNamedWithAndWithoutThePathOfTheAPI(t *testing.T) {
	s := server(t, (&archive{records: map[ipns.Name]*ipns.Record{}}).handler())
	name := newAuthor(t).name
	for _, suffix := range []string{"", "/", "/routing/v1", "/routing/v1/", "/routing/v1/ipns", "/routing/v1/ipns/"} {
		if rec, err := client(t, s.URL+suffix).Get(t.Context(), name); rec != nil || err != nil {
			t.Errorf("%q: %v, %v", suffix, rec, err)
		}
	}
	for _, url := range []string{"", "nope", "ftp://a.example", "http://", "https://a.example/?x", "https://u:p@a.example"} {
		if _, err := delegated.New(delegated.Config{URL: url}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
}

// T-60: every answer but a valid record is none, or an error that says what it was.
func TestARefusedURLIsShownWithoutItsSecrets(t *testing.T) {
	for _, url := range []string{
		"https://user:SECRET@example.net/",       // parsed, refused for its user
		"https://SECRET@example.net/",            // a token in place of a user
		"ftp://user:SECRET@example.net/",         //
		"https://example.net/?token=SECRET",      // parsed, refused for its query
		"https://example.net/#SECRET",            //
		"https://user:SECRET@example.net:port/",  // not parsed from here on
		"https://user:SECRET@example.net/%zz",    //
		"https://user:%SECRET@example.net/",      // its error would quote a part
		"https://user:SECRET#SECRET@example.net", // SECRET would be a port
		"https://user:SECRET?SECRET@example.net", //
		"https://user:SECRET/SECRET@example.net", //
		"https://user:SECRET@SECRET@example.net:port",
		"user:SECRET@example.net",
		"https://user:\x7fSECRET@example.net/?token=SECRET",
	} {
		_, err := delegated.New(delegated.Config{URL: url})
		if err == nil {
			t.Errorf("%q is taken", url)
		} else if strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "%SE") || !strings.Contains(err.Error(), "example.net") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestEveryAnswerButAValidRecordIsNoneOrAnError(t *testing.T) {
	a := newAuthor(t)
	good, other := a.sign(t, ipns.Fields{}), newAuthor(t).sign(t, ipns.Fields{})
	expired := a.sign(t, ipns.Fields{EOL: time.Now().Add(-time.Hour)})
	for _, c := range []struct {
		what, kind, body string
		status           int
		found            bool
		err              string
	}{
		{"record", ipns.RecordMediaType, string(good.Raw()), 200, true, ""},
		{"none", "text/plain", "not found", 200, false, ""},
		{"not found", "text/plain", "not found", 404, false, ""},
		{"a record that is not found", ipns.RecordMediaType, string(good.Raw()), 404, false, ""},
		{"failure", "text/plain", "it\nis broken", 500, false, "500 Internal Server Error: it is broken"},
		{"of another name", ipns.RecordMediaType, string(other.Raw()), 200, false, "signature"},
		{"expired", ipns.RecordMediaType, string(expired.Raw()), 200, false, "expired"},
		{"junk", ipns.RecordMediaType, "junk", 200, false, "malformed"},
		{"endless", ipns.RecordMediaType, strings.Repeat("x", 1<<20), 200, false, "size limit"},
	} {
		s := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		rec, err := client(t, s.URL).Get(t.Context(), a.name)
		if (rec != nil) != c.found || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v, want %s", c.what, rec, err, c.err)
		}
	}
}

// T-62: a redirect leads nowhere else.
func TestARedirectLeadsNowhereElse(t *testing.T) {
	a := newAuthor(t)
	rec := a.sign(t, ipns.Fields{})
	reached := false
	elsewhere := server(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	to := elsewhere.URL
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			w.Header().Set("Content-Type", ipns.RecordMediaType)
			_, _ = w.Write(rec.Raw())
			return
		}
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}))
	c := client(t, s.URL)
	if _, err := c.Get(t.Context(), a.name); err == nil {
		t.Error("a redirect to another server was followed")
	}
	for ack, err := range c.Put(t.Context(), rec, routing.Look{}) {
		if err != nil || ack.Err == nil {
			t.Errorf("a PUT was redirected: %+v, %v", ack, err)
		}
	}
	if reached {
		t.Error("the other server was asked")
	}
	to = "/moved"
	if got, err := c.Get(t.Context(), a.name); err != nil || got == nil {
		t.Errorf("a redirect within the server: %v, %v", got, err)
	}
	to = s.URL + "/loop"
	if _, err := c.Get(t.Context(), a.name); err == nil {
		t.Error("a loop has no end")
	}
}

// An older record is refused, and the newer one comes with the refusal.
func TestARefusalBringsTheNewerRecord(t *testing.T) {
	a := newAuthor(t)
	old, now := a.sign(t, ipns.Fields{}), a.sign(t, ipns.Fields{Sequence: 1})
	c := client(t, server(t, (&archive{records: map[ipns.Name]*ipns.Record{a.name: now}}).handler()).URL)
	for ack, err := range c.Put(t.Context(), old, routing.Look{}) {
		if err != nil || ack.Err == nil || ack.Newer == nil || ack.Newer.Sequence() != 1 {
			t.Errorf("%+v, %v", ack, err)
		}
	}
}

// A server that asks to be left alone is left alone for as long as it said.
func TestRetryAfterIsObeyed(t *testing.T) {
	asked := 0
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	now := time.Now()
	c, err := delegated.New(delegated.Config{URL: s.URL, Opener: new(routing.Opener), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	name := newAuthor(t).name
	for _, step := range []struct {
		after time.Duration
		asked int
	}{{0, 1}, {59 * time.Second, 1}, {2 * time.Second, 2}} {
		now = now.Add(step.after)
		if _, err := c.Get(t.Context(), name); err == nil || !strings.Contains(err.Error(), "429") {
			t.Errorf("after %v: %v", step.after, err)
		}
		if asked != step.asked {
			t.Errorf("after %v the server was asked %d times, want %d", step.after, asked, step.asked)
		}
	}
}

// hanging returns a client of a server that hangs until hang is false, and calls entered
// first. The client waits half a second and has the clock now.
func hanging(t *testing.T, entered func()) (c *delegated.Client, hang *atomic.Bool, now *time.Time) {
	t.Helper()
	hang, now = new(atomic.Bool), new(time.Time)
	hang.Store(true)
	*now = time.Now()
	s := server(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if hang.Load() {
			entered()
			<-r.Context().Done()
		}
	}))
	c, err := delegated.New(delegated.Config{URL: s.URL, Opener: new(routing.Opener), Timeout: time.Second / 2, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, hang, now
}

// A server that hangs costs callers its time-out three times, and then nothing until it
// is tried again.
func TestAServerThatHangsIsLeftAlone(t *testing.T) {
	c, hang, now := hanging(t, func() {})
	name := newAuthor(t).name
	for i := range 10 {
		if _, err := c.Get(t.Context(), name); err == nil || errors.Is(err, routing.ErrAway) != (i >= 3) {
			t.Errorf("after %d requests to a server that hangs: %v", i, err)
		}
	}
	hang.Store(false)
	if _, err := c.Get(t.Context(), name); !errors.Is(err, routing.ErrAway) {
		t.Errorf("the server was tried at once: %v", err)
	}
	*now = now.Add(time.Minute)
	c.SetTimeout(time.Minute) // which it does not take
	for range 2 {
		if _, err := c.Get(t.Context(), name); err != nil {
			t.Errorf("the server is back: %v", err)
		}
	}
}

// Callers that give up say nothing of the server.
func TestCallersWhoGiveUpBreakNothing(t *testing.T) {
	entered := make(chan struct{})
	var hang atomic.Bool
	hang.Store(true)
	s := server(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if hang.Load() {
			entered <- struct{}{}
			<-r.Context().Done()
		}
	}))
	c, name := client(t, s.URL), newAuthor(t).name
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-entered; cancel() }()
		if _, err := c.Get(ctx, name); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
	}
	hang.Store(false)
	if _, err := c.Get(t.Context(), name); err != nil {
		t.Errorf("after them: %v", err)
	}
}

// A caller that gives up while its request tries a server after a break leaves the
// next one to try.
func TestACanceledTryLeavesTheNextOneToTry(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var last atomic.Bool // request, whose caller gives up
	c, hang, now := hanging(t, func() {
		if last.Load() {
			cancel()
		}
	})
	name := newAuthor(t).name
	var err error
	for range 4 {
		_, err = c.Get(t.Context(), name)
	}
	if !errors.Is(err, routing.ErrAway) {
		t.Errorf("a server that has not answered 3 times: %v", err)
	}
	*now = now.Add(time.Minute)
	c.SetTimeout(time.Minute)
	last.Store(true)
	if _, err := c.Get(ctx, name); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	hang.Store(false)
	if _, err := c.Get(t.Context(), name); err != nil {
		t.Errorf("the server is back: %v", err)
	}
}

// A gateway is read, and nobody is put to.
func TestAGatewayIsReadAndNobodyIsPutTo(t *testing.T) {
	rec := newAuthor(t).sign(t, ipns.Fields{})
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "/ipns/"+rec.Name().String()+"?format=ipns-record" || r.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		w.Header().Set("Content-Type", ipns.RecordMediaType)
		_, _ = w.Write(rec.Raw())
	}))
	c, err := delegated.New(delegated.Config{URL: s.URL + "/", Gateway: true, Fresh: true, Opener: new(routing.Opener)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := c.Get(t.Context(), rec.Name()); err != nil || got == nil {
		t.Errorf("%v, %v", got, err)
	}
	for _, err := range c.Put(t.Context(), rec, routing.Look{}) {
		if !errors.Is(err, routing.ErrNoTargets) {
			t.Errorf("put to a gateway: %v", err)
		}
	}
}

// A server that can't be reached is away; one that answers is not.
func TestAServerThatIsGoneIsAway(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c, rec := client(t, s.URL), newAuthor(t).sign(t, ipns.Fields{})
	var away *routing.AwayError
	if _, err := c.Get(t.Context(), rec.Name()); !errors.As(err, &away) || away.Network != c.Network() {
		t.Errorf("a server that is gone: %v", err)
	}
	for ack, err := range c.Put(t.Context(), rec, routing.Look{}) {
		if !errors.Is(err, routing.ErrAway) {
			t.Errorf("a put to a server that is gone: %+v, %v", ack, err)
		}
	}
}
