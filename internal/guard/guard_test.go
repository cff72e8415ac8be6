package guard

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goipns/ipns/rpc"
)

// ask sends a request through a guard; header are pairs, "Host" among them.
func ask(g *Guard, method, url string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Add(header[i], header[i+1])
		}
	}
	if g.Next == nil {
		g.Next = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func TestGuardRefusesPagesThatNobodyLetIn(t *testing.T) {
	const api = "http://127.0.0.1:5001"
	const site = "Sec-Fetch-Site"
	for _, c := range []struct {
		header []string
		want   int
	}{
		{[]string{site, "none"}, 200},
		{[]string{site, "same-origin"}, 200},
		{[]string{site, "cross-site"}, 403},
		{[]string{site, "same-site"}, 403},
		{[]string{site, "Cross-Site"}, 403},
		{[]string{site, "same-origin", site, "cross-site"}, 403},
		{[]string{site, "cross-site", "Referer", api + "/"}, 403},
		{[]string{site, "cross-site", "Origin", "http://evil.example"}, 403},
		{[]string{site, "cross-site", "Origin", "https://app.example"}, 200},
		{[]string{site, "same-site", "Origin", "http://localhost:5001"}, 200},
		{[]string{site, "none", "User-Agent", "Mozilla/5.0"}, 200},
		{[]string{"User-Agent", "Mozilla/5.0"}, 403},
		{[]string{"Origin", "HTTPS://App.Example:443/"}, 200},
		{[]string{"Origin", "http://app.example"}, 403},
		{[]string{"Origin", "https://app.example.evil.example"}, 403},
		{[]string{"Origin", "https://app.example@evil.example"}, 403},
		{[]string{"Origin", "http://127.0.0.1:5001@evil.example"}, 403},
		{[]string{"Origin", "http://127.0.0.1.evil.example:5001"}, 403},
		{[]string{"Origin", "null"}, 403},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, path := range []string{"/api/v0/id", "/webui", "/"} {
				g := &Guard{Origins: []string{"https://app.example"}}
				if w := ask(g, method, api+path, c.header...); w.Code != c.want {
					t.Errorf("%s %s with %q: %d, want %d", method, path, c.header, w.Code, c.want)
				}
			}
		}
	}
}

func TestGuardLetsAWindowOpenTheWebUI(t *testing.T) {
	const api = "http://127.0.0.1:5001"
	window := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Referer", "https://site.example/", "User-Agent", "Mozilla/5.0"}
	frame := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}
	image := []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}
	for _, c := range []struct {
		method, url string
		header      []string
		want        int
	}{
		{http.MethodGet, api + "/webui", window, 200},
		{http.MethodGet, api + "/webui/", window, 200},
		{http.MethodPost, api + "/webui", window, 403},
		{http.MethodGet, api + "/api/v0/id", window, 403},
		{http.MethodGet, api + "/debug/pprof/profile", window, 403},
		{http.MethodGet, api + "/webui/../api/v0/id", window, 403},
		{http.MethodGet, api + "/webui?x=1", window, 403},
		{http.MethodGet, api + "/webui", frame, 403},
		{http.MethodGet, api + "/webui", image, 403},
		{http.MethodGet, api + "/webui", append([]string{"Origin", "https://site.example"}, window...), 403},
		{http.MethodGet, api + "/webui", append([]string{"Host", "evil.example:5001"}, window...), 403},
		{http.MethodGet, api + "/webui", append([]string{"Sec-Fetch-Dest", "iframe"}, window...), 403},
	} {
		if w := ask(&Guard{}, c.method, c.url, c.header...); w.Code != c.want {
			t.Errorf("%s %s with %q: %d, want %d", c.method, c.url, c.header, w.Code, c.want)
		}
	}
}

func TestGuardLetsInTheCompanionAndNoOtherExtension(t *testing.T) {
	for origin, want := range map[string]int{
		"chrome-extension://nibjojkomfdiaoajekhjakgkdhaomnch":  200,
		"chrome-extension://hjoieblefckbooibpepigmacodalfndh":  200,
		"chrome-extension://nibjojkomfdiaoajekhjakgkdhaomnch/": 403,
		"chrome-extension://invalidextensionid":                403,
		"moz-extension://nibjojkomfdiaoajekhjakgkdhaomnch":     403,
	} {
		w := ask(&Guard{Origins: []string{"https://app.example"}}, http.MethodPost, "http://127.0.0.1:5001/api/v0/id", "Origin", origin, "User-Agent", "Mozilla")
		if w.Code != want {
			t.Errorf("%s: %d, want %d", origin, w.Code, want)
		}
	}
}

func TestGuardComparesHostsParsed(t *testing.T) {
	for host, want := range map[string]int{
		"127.0.0.1":           200,
		"127.0.0.1:5001":      200,
		"[::1]:5":             200,
		"[::1]":               200,
		"LOCALHOST:5001":      200,
		"localhost.":          200,
		"foo.localhost":       200,
		"8.8.8.8:80":          200,
		"app.example:5001":    200,
		"App.Example.":        200,
		"ipfs:5001":           403,
		"":                    403,
		":5001":               403,
		"127.0.0.1@evil":      403,
		"evil#127.0.0.1":      403,
		"127.0.0.1.nip.io":    403,
		"evil.example:5001":   403,
		"0x7f.1":              403,
		"2130706433":          403,
		"[::1":                403,
		"[::1]x":              403,
		"[localhost]":         403,
		"[[::1]]":             403,
		"::1":                 403,
		"127.0.0.1:1:1":       403,
		"localhost:port":      403,
		"localhost.evil":      403,
		"app.example.evil":    403,
		"xapp.example":        403,
		"127.0.0.1:5001,evil": 403,
	} {
		w := ask(&Guard{Origins: []string{"https://app.example"}}, http.MethodPost, "http://127.0.0.1/api/v0/id", "Host", host)
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}

func TestRefusedHostIsLetInByTheSettingThatTheReplyNames(t *testing.T) {
	g := &Guard{}
	w := ask(g, http.MethodPost, "http://127.0.0.1/api/v0/id", "Host", "ipfs:5001")
	const setting, value = "API.HTTPHeaders.Access-Control-Allow-Origin", "http://ipfs:5001"
	if body := w.Body.String(); w.Code != 403 || !strings.Contains(body, setting) || !strings.Contains(body, value) {
		t.Fatalf("%d %q does not say that %s of %s lets it in", w.Code, body, value, setting)
	}
	for _, origins := range [][]string{{value}, {"*"}} {
		g := &Guard{}
		g.SetHeaders(map[string][]string{"access-control-allow-origin": origins})
		if w := ask(g, http.MethodPost, "http://127.0.0.1/api/v0/id", "Host", "ipfs:5001"); w.Code != 200 {
			t.Errorf("with %q: %d %s", origins, w.Code, w.Body)
		}
	}
}

func TestGuardSendsTheHeadersOfTheConfig(t *testing.T) {
	g := &Guard{}
	g.SetHeaders(map[string][]string{
		"Access-Control-Allow-Origin":      {"https://app.example"},
		"Access-Control-Allow-Methods":     {"PUT", "POST"},
		"Access-Control-Allow-Credentials": {"true"},
		"X-Own":                            {"a", "b"},
		"Content-Length":                   {"7"},
	})
	w := ask(g, http.MethodOptions, "http://127.0.0.1/api/v0/id", "Origin", "https://app.example")
	for key, want := range map[string]string{
		"Access-Control-Allow-Origin":      "https://app.example",
		"Access-Control-Allow-Methods":     "PUT, POST",
		"Access-Control-Allow-Credentials": "true",
		"X-Own":                            "a,b",
		"Content-Length":                   "",
	} {
		if got := strings.Join(w.Header().Values(key), ","); got != want {
			t.Errorf("preflight: %s is %q, want %q", key, got, want)
		}
	}
	w = ask(g, http.MethodPost, "http://127.0.0.1/api/v0/id", "Origin", "https://evil.example")
	if w.Code != 403 || w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("a refused origin got %d %v", w.Code, w.Header())
	}
}

func TestAuthorizationCoversWholeSegments(t *testing.T) {
	all := func(secret string, paths ...string) Authorization {
		a, err := NewAuthorization(secret, paths)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	auth := []Authorization{
		all("bearer:all", "/api/v0/"),
		all("basic:ann:pw", "/api/v0/name", "/api/v0/key/list"),
		all("token", "/"),
		all("bearer:nothing"),
		all("bearer:repo", "/api/v0/repo/"),
		all("bearer:dump", "/api/v0/repo/dump"),
	}
	for _, c := range []struct {
		header, path string
		want         int
	}{
		{"", "/api/v0/id", 403},
		{"Bearer all", "/api/v0/id", 200},
		{"bearer all", "/api/v0/id", 200},
		{"Bearer al", "/api/v0/id", 403},
		{"Bearer all ", "/api/v0/id", 403},
		{"Bearer ALL", "/api/v0/id", 403},
		{"all", "/api/v0/id", 403},
		{"Bearer all", "/webui", 403},
		{"Bearer all", "/api/v0x/id", 403},
		{"Bearer token", "/webui", 200},
		{"Basic YW5uOnB3", "/api/v0/name", 200}, // ann:pw
		{"Basic YW5uOnB3", "/api/v0/name/publish", 200},
		{"Basic YW5uOnB3", "/api/v0/names", 403},
		{"Basic YW5uOnB3", "/api/v0/key/rm", 403},
		{"Basic YW5uOnB3", "/api/v0/key/list", 200},
		{"Basic YW5uOnB3", "/api/v0/name/../key/rm", 403},
		{"Bearer YW5uOnB3", "/api/v0/name", 403},
		{"Bearer nothing", "/api/v0/id", 403},
		{"Bearer nothing", "/api/v0/version", 200},
		{"", "/api/v0/version", 403},
		// A dump has secrets of others.
		{"Bearer repo", "/api/v0/repo/stat", 200},
		{"Bearer repo", "/api/v0/repo/dump", 403},
		{"Bearer repo", "/api/v0/repo/dump/", 403},
		{"Bearer repo", "/api/v0/repo/dump/x", 403},
		{"Bearer repo", "/api/v0/repo//dump", 403},
		{"Bearer dump", "/api/v0/repo/dump", 200},
		{"Bearer dump", "/api/v0/repo/stat", 403},
		{"Bearer all", "/api/v0/repo/dump", 200},
		{"Bearer token", "/api/v0/repo/dump", 200},
	} {
		g := &Guard{Authorizations: auth}
		var header []string
		if c.header != "" {
			header = []string{"Authorization", c.header}
		}
		if w := ask(g, http.MethodPost, "http://127.0.0.1"+c.path, header...); w.Code != c.want {
			t.Errorf("%q for %s: %d, want %d", c.header, c.path, w.Code, c.want)
		}
	}
	// A browser asks first, without the secret.
	g := &Guard{Authorizations: auth}
	w := ask(g, http.MethodOptions, "http://127.0.0.1:5001/api/v0/id", "Origin", "http://127.0.0.1:5001")
	if w.Code != 204 || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
	for _, bad := range []string{"", "bearer:", "digest:x", "bearer:a\nb"} {
		if _, err := NewAuthorization(bad, nil); err == nil {
			t.Errorf("%q is taken as a secret", bad)
		}
	}
	if _, err := NewAuthorization("bearer:x", []string{"api/v0"}); err == nil {
		t.Error("a path without its first slash is taken")
	}
}

func TestClientWorksOverUnixSocketAndProvesItsSecret(t *testing.T) {
	type request struct {
		Name string `arg:"name"`
	}
	echo := rpc.Command[request, request]{Info: rpc.Info{Path: "echo"}}
	m := new(rpc.Mux)
	rpc.Handle(m, echo, rpc.One(func(_ context.Context, req request) (request, error) { return req, nil }))
	auth, err := NewAuthorization("bearer:s", []string{"/api/v0"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(&Guard{Authorizations: []Authorization{auth}, Next: m})
	s.Listener.Close()
	s.Listener = l
	s.Start()
	defer s.Close()

	c, err := rpc.NewClient("/unix" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := rpc.Do(t.Context(), c, echo, request{Name: "x"}); err == nil || !strings.Contains(err.Error(), "--api-auth") {
		t.Errorf("without a secret: %v", err)
	}
	if c.Authorization, err = Header("bearer:s"); err != nil {
		t.Fatal(err)
	}
	if k, err := rpc.Do(t.Context(), c, echo, request{Name: "x"}); err != nil || k.Name != "x" {
		t.Errorf("with it: %v, %v", k, err)
	}
}

// The page is the same for everyone and needs no secret; all that it can do is behind one.
func TestThePageNeedsNoSecretAndOpensNothing(t *testing.T) {
	auth, err := NewAuthorization("bearer:s", []string{"/api/v0"})
	if err != nil {
		t.Fatal(err)
	}
	g := &Guard{
		Authorizations: []Authorization{auth},
		Page:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
	}
	const own = "http://127.0.0.1:5001"
	for _, c := range []struct {
		method, path string
		header       []string
		want         int
	}{
		{"GET", "/webui", nil, 418},
		{"GET", "/webui/", nil, 418},
		{"GET", "/webui/main.js", []string{"Sec-Fetch-Site", "same-origin"}, 418},
		{"POST", "/webui/x", []string{"Origin", own}, 418},
		{"GET", "/webui/", []string{"User-Agent", "Mozilla/5.0"}, 418}, // over HTTP from another machine
		{"GET", "/webui/", []string{"User-Agent", "Mozilla/5.0", "Referer", "http://evil.example/"}, 403},
		{"GET", "/webui/../api/v0/id", []string{"User-Agent", "Mozilla/5.0"}, 418},
		{"POST", "/api/v0/id", []string{"User-Agent", "Mozilla/5.0", "Authorization", "Bearer s"}, 403},
		{"GET", "/webuix", nil, 403},
		{"GET", "/webui/../api/v0/id", []string{"Origin", "https://evil.example"}, 403},
		{"GET", "/webui/main.js", []string{"Origin", "https://evil.example"}, 403},
		{"GET", "/webui/main.js", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"GET", "/webui/main.js", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"GET", "/webui/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"GET", "/webui/", []string{"Host", "evil.example:5001"}, 403},
		{"POST", "/api/v0/name/publish", []string{"Origin", own}, 403},
		{"POST", "/api/v0/name/watch", []string{"Origin", own}, 403},
		{"POST", "/api/v0/name/watch", []string{"Origin", own, "Authorization", "Bearer s"}, 200},
		{"POST", "/api/v0/name/watch", []string{"Origin", "https://evil.example", "Authorization", "Bearer s"}, 403},
		{"POST", "/api/v0/key/rm", []string{"Origin", "null", "Authorization", "Bearer s"}, 403},
	} {
		if w := ask(g, c.method, own+c.path, c.header...); w.Code != c.want {
			t.Errorf("%s %s with %q: %d, want %d", c.method, c.path, c.header, w.Code, c.want)
		}
	}
}
