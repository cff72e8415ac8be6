package rpc

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
)

// what a client sees before any command runs, and how
// the result of one is wrapped.
func TestEnvelope(t *testing.T) {
	ran := 0
	n := &fake{keyGen: func(ctx context.Context, req KeyGenRequest) (Key, error) {
		ran++
		if req.Name == "slow" {
			<-ctx.Done()
			return Key{}, ctx.Err()
		}
		return Key{Name: req.Name, Id: "k51"}, nil
	}}
	const (
		api = "http://127.0.0.1:5001"
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
		{"preflight", "OPTIONS", gen, "Origin", api, 204, ""},
		{"no command", "POST", "/api/v0/nope", "", "", 404, "404 page not found\n"},
		{"no prefix", "POST", "/key/gen?arg=x", "", "", 404, "404 page not found\n"},
		{"local only", "POST", "/api/v0/key/export?arg=x", "", "", 404, "404 page not found\n"},
		{"no argument", "POST", "/api/v0/key/gen", "", "", 400, "argument \"name\" is required\n"},
		{"no file", "POST", "/api/v0/name/put?arg=x", "", "", 400, "file argument 'record' is required\n"},
		{"bad option", "POST", gen + "&size=x", "", "", 400, `could not convert value "x" to type "int" (for option "-size")` + "\n"},
		{"bad timeout", "POST", gen + "&timeout=x", "", "", 500, `{"Message":"time: invalid duration \"x\"","Code":0,"Type":"error"}` + "\n"},
		{"time is up", "POST", "/api/v0/key/gen?arg=slow&timeout=5ms", "", "", 500, `{"Message":"context deadline exceeded","Code":0,"Type":"error"}` + "\n"},

		{"own origin", "POST", gen, "Origin", api, 200, ""},
		{"localhost", "POST", gen, "Origin", "http://localhost:5001", 200, ""},
		{"allowed origin", "POST", gen, "Origin", "https://app.example", 200, ""},
		{"foreign origin", "POST", gen, "Origin", "https://evil.example", 403, ""},
		{"other port", "POST", gen, "Origin", "http://localhost:3000", 403, ""},
		{"no origin", "POST", gen, "Origin", "null", 403, ""},
		{"foreign preflight", "OPTIONS", gen, "Origin", "https://evil.example", 403, ""},
		{"own page", "POST", gen, "Referer", api + "/page", 200, ""},
		{"foreign page", "POST", gen, "Referer", "https://evil.example/page", 403, ""},
		{"hidden page", "POST", gen, "User-Agent", "Mozilla/5.0", 403, ""},
		{"rebound domain", "POST", gen, "Host", "evil.example:5001", 403, ""},
		{"host of an origin", "POST", gen, "Host", "app.example", 200, ""},
		{"IPv6", "POST", gen, "Host", "[::1]:5001", 200, ""},
	} {
		r := httptest.NewRequest(c.method, api+c.url, strings.NewReader(""))
		if c.header == "Host" {
			r.Host = c.value
		} else if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		before := ran
		w := httptest.NewRecorder()
		(&Guard{Origins: []string{"https://app.example"}, Next: &Handler{Node: n}}).ServeHTTP(w, r)
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

func TestTextOfResults(t *testing.T) {
	if got := (PublishRequest{}).Text(Published{Name: "k51", Value: "/ipfs/x"}); got != "Published to k51: /ipfs/x\n" {
		t.Errorf("publish: %q", got)
	}
	// What others wrote does not command the terminal.
	if got := (PublishRequest{}).Text(Published{Name: "k51", Value: "/ipfs/x/\x1b[2Jü"}); got != "Published to k51: /ipfs/x/\\x1b[2Jü\n" {
		t.Errorf("publish: %q", got)
	}
	for _, c := range []struct {
		p    Published
		want string
	}{
		{Published{Announced: 17, Of: 20, Sequence: 3}, "announced to 17 of 20 servers (sequence 3)"},
		{Published{Of: 20, Sequence: 3}, "stored here; announced to 0 of 20 servers (sequence 3)"},
		{Published{}, "stored here; announced to nobody: no servers are known (sequence 0)"},
		{Published{Announcing: true}, "stored here; it is being announced (sequence 0)"},
	} {
		if got := c.p.Receipt(); got != c.want {
			t.Errorf("receipt %q, want %q", got, c.want)
		}
	}
}
