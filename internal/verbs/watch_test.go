package verbs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/serve"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
	"github.com/goipns/ipns/watch"
)

// served starts a node whose API wants a secret, and serves it.
func served(t *testing.T) (*node.Node, *serve.Servers) {
	t.Helper()
	n := start(t, newRepo(t), node.Config{Offline: true})
	n.Settings.API.Authorizations = map[string]*repo.Authorization{"page": {AuthSecret: "bearer:s", AllowedPaths: []string{"/api/v0"}}}
	s, err := n.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Stop()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return n, s
}

// ask sends a request with headers in pairs, and does not follow redirects.
func ask(t *testing.T, method, url string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// The files of the page are for everybody, what it does is for those with the secret, and
// pages of other origins get neither.
func TestThePageIsServedBesideTheAPI(t *testing.T) {
	_, s := served(t)
	at := s.PageURL()
	base := strings.TrimSuffix(at, "/webui")
	const secret = "Bearer s"
	for _, c := range []struct {
		method, url string
		header      []string
		status      int
	}{
		{"GET", at, nil, 302},
		{"GET", at + "/", nil, 200},
		{"GET", at + "/main.js", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"GET", at + "/main.js", []string{"Origin", "https://evil.example"}, 403},
		{"GET", at + "/", []string{"Origin", "https://evil.example"}, 403},
		{"POST", base + "/api/v0/name/watch?for=1ms", []string{"Origin", base}, 403},
		{"POST", base + "/api/v0/name/watch?for=1ms", []string{"Origin", base, "Authorization", secret}, 200},
		{"POST", base + "/api/v0/name/watch?for=1ms", []string{"Origin", "https://evil.example", "Authorization", secret}, 403},
		{"GET", base + "/api/v0/name/watch?for=1ms", []string{"Authorization", secret}, 405},
	} {
		if resp := ask(t, c.method, c.url, c.header...); resp.StatusCode != c.status {
			t.Errorf("%s %s with %q: %s, want %d", c.method, c.url, c.header, resp.Status, c.status)
		}
	}
}

// watching opens a stream of changes, whose first line has come.
func watching(t *testing.T, s *serve.Servers) *bufio.Scanner {
	t.Helper()
	url := strings.TrimSuffix(s.PageURL(), "webui") + "api/v0/name/watch"
	resp := ask(t, "POST", url, "Authorization", "Bearer s")
	lines := bufio.NewScanner(resp.Body)
	if resp.StatusCode != http.StatusOK || !lines.Scan() {
		t.Fatalf("no first line: %s, %v", resp.Status, lines.Err())
	}
	return lines
}

func TestChangesArriveAsTheyHappenAndStopWithTheNode(t *testing.T) {
	n, s := served(t)
	lines := watching(t, s)
	req := rpc.New[api.PublishRequest]()
	req.AllowOffline, req.Resolve, req.Path = true, false, "/ipfs/bafkqaaa"
	for sequence := range uint64(3) {
		req.Path += fmt.Sprint("/", sequence)
		if _, err := rpc.Do(t.Context(), Mux(n), api.NamePublish, req); err != nil {
			t.Fatal(err)
		}
		for { // what came before may be seen again
			var c api.Changed
			if !lines.Scan() || json.Unmarshal(lines.Bytes(), &c) != nil {
				t.Fatalf("%q, %v", lines.Text(), lines.Err())
			}
			if c.Status != nil && c.Status.Sequence == sequence && c.Status.Value == req.Path && c.Status.Key == "self" {
				break
			}
		}
	}
	n.Stop()
	for lines.Scan() { // what came before may be seen again, until it ends
	}
}

// Readers take no turns of other requests, and have a limit.
func TestManyReadersLeaveRoomForOthers(t *testing.T) {
	_, s := served(t)
	for range watch.MaxOperator {
		watching(t, s)
	}
	base := strings.TrimSuffix(s.PageURL(), "webui") + "api/v0/"
	if resp := ask(t, "POST", base+"name/watch", "Authorization", "Bearer s"); resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("one reader too many: %s", resp.Status)
	}
	if resp := ask(t, "POST", base+"key/ls", "Authorization", "Bearer s"); resp.StatusCode != http.StatusOK {
		t.Errorf("another request: %s", resp.Status)
	}
}

// A watch does not outlive the secret that let it in; one whose secret stays goes on.
func TestAWatchEndsWithItsSecret(t *testing.T) {
	n, s := served(t)
	lines := watching(t, s)
	for _, secret := range []string{"bearer:s", "bearer:other"} {
		if _, err := n.Repo.Set("API.Authorizations", map[string]any{"page": map[string]any{"AuthSecret": secret, "AllowedPaths": []string{"/api/v0"}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		if secret == "bearer:s" {
			req := rpc.New[api.PublishRequest]()
			req.AllowOffline, req.Resolve, req.Path = true, false, "/ipfs/bafkqaaa"
			if _, err := rpc.Do(t.Context(), Mux(n), api.NamePublish, req); err != nil {
				t.Fatal(err)
			}
			if !lines.Scan() {
				t.Fatal("it ends although its secret is as before")
			}
		}
	}
	for lines.Scan() { // until it ends
	}
}
