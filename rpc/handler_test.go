package rpc_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/guard"
	"github.com/goipns/ipns/rpc"
)

// what a client sees before any command runs, and how
// the result of one is wrapped.
func TestEnvelope(t *testing.T) {
	ran := 0
	m := new(rpc.Mux)
	rpc.Handle(m, api.NamePut, rpc.One(func(context.Context, api.NamePutRequest) (api.Published, error) { return api.Published{}, nil }))
	rpc.Handle(m, api.KeyGen, rpc.One(func(ctx context.Context, req api.KeyGenRequest) (api.Key, error) {
		ran++
		if req.Name == "slow" {
			<-ctx.Done()
			return api.Key{}, ctx.Err()
		}
		return api.Key{Name: req.Name, Id: "k51"}, nil
	}))
	const (
		own = "http://127.0.0.1:5001"
		gen = "/api/v0/key/gen?arg=x"
	)
	for _, c := range []struct {
		name, method, url, header, value string
		status                           int
		body                             string
	}{
		{"post", "POST", gen, "", "", 200, `{"Name":"x","Id":"k51"}` + "\n"},
		{"text", "POST", gen + "&encoding=text", "", "", 200, "k51\n"},
		{"get", "GET", gen, "", "", 405, "405 - Method Not Allowed\n"},
		{"preflight", "OPTIONS", gen, "Origin", own, 204, ""},
		{"no command", "POST", "/api/v0/nope", "", "", 404, "404 page not found\n"},
		{"argument in the path", "POST", "/api/v0/key/gen/x", "", "", 200, `{"Name":"x","Id":"k51"}` + "\n"},
		{"argument in the path, and one more", "POST", "/api/v0/key/gen/x?arg=y", "", "", 400, "expected 1 argument(s), got 2\n"},
		{"no prefix", "POST", "/key/gen?arg=x", "", "", 404, "404 page not found\n"},
		{"local only", "POST", "/api/v0/key/export?arg=x", "", "", 404, "404 page not found\n"},
		{"no argument", "POST", "/api/v0/key/gen", "", "", 400, "argument \"name\" is required\n"},
		{"no file", "POST", "/api/v0/name/put?arg=x", "", "", 400, "file argument 'record' is required\n"},
		{"bad option", "POST", gen + "&size=x", "", "", 400, `could not convert value "x" to type "int" (for option "-size")` + "\n"},
		{"bad timeout", "POST", gen + "&timeout=x", "", "", 500, `{"Message":"time: invalid duration \"x\"","Code":0,"Type":"error"}` + "\n"},
		{"time is up", "POST", "/api/v0/key/gen?arg=slow&timeout=5ms", "", "", 500, `{"Message":"context deadline exceeded","Code":0,"Type":"error"}` + "\n"},

		{"own origin", "POST", gen, "Origin", own, 200, ""},
		{"localhost", "POST", gen, "Origin", "http://localhost:5001", 200, ""},
		{"allowed origin", "POST", gen, "Origin", "https://app.example", 200, ""},
		{"foreign origin", "POST", gen, "Origin", "https://evil.example", 403, ""},
		{"other port", "POST", gen, "Origin", "http://localhost:3000", 403, ""},
		{"no origin", "POST", gen, "Origin", "null", 403, ""},
		{"foreign preflight", "OPTIONS", gen, "Origin", "https://evil.example", 403, ""},
		{"own page", "POST", gen, "Referer", own + "/page", 200, ""},
		{"foreign page", "POST", gen, "Referer", "https://evil.example/page", 403, ""},
		{"hidden page", "POST", gen, "User-Agent", "Mozilla/5.0", 403, ""},
		{"rebound domain", "POST", gen, "Host", "evil.example:5001", 403, ""},
		{"host of an origin", "POST", gen, "Host", "app.example", 200, ""},
		{"IPv6", "POST", gen, "Host", "[::1]:5001", 200, ""},
	} {
		r := httptest.NewRequest(c.method, own+c.url, strings.NewReader(""))
		if c.header == "Host" {
			r.Host = c.value
		} else if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		before := ran
		w := httptest.NewRecorder()
		(&guard.Guard{Next: m, Origins: []string{"https://app.example"}}).ServeHTTP(w, r)
		if w.Code != c.status || c.body != "" && w.Body.String() != c.body {
			t.Errorf("%s: %d %q, want %d %q", c.name, w.Code, w.Body, c.status, c.body)
		}
		if refused := c.status != 200 && !strings.Contains(c.url, "slow"); refused && ran != before {
			t.Errorf("%s: refused, but the command ran", c.name)
		}
		if c.status == 405 && w.Header().Get("Allow") != "OPTIONS, POST" {
			t.Errorf("%s: Allow is %q", c.name, w.Header().Get("Allow"))
		}
	}
}

// The server tells a command that its client is gone only after the body.
func TestBodyIsReadBeforeTheCommandRuns(t *testing.T) {
	body := strings.NewReader(strings.Repeat("x", 40<<10))
	m := new(rpc.Mux)
	rpc.Handle(m, api.KeyGen, rpc.One(func(context.Context, api.KeyGenRequest) (api.Key, error) {
		if body.Len() > 0 {
			t.Errorf("the command runs with %d bytes unread", body.Len())
		}
		return api.Key{Name: "x"}, nil
	}))
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("POST", "/api/v0/key/gen?arg=x", body))
	if w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("POST", "/api/v0/key/gen?arg=x", strings.NewReader(strings.Repeat("x", 1<<20))))
	if w.Code != 400 {
		t.Errorf("a body without a bound got %d %s", w.Code, w.Body)
	}
}
