package routingapi

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/routing/routingtest"
)

// A server of routing alone answers from the network and relays to it, and is nothing else.
func TestAServerOfRoutingAloneServesOnlyRouting(t *testing.T) {
	nw := testnet.ForTest(t, 25)
	r := newRepo(t)
	if _, err := r.Set("Gateway.RoutingPuts", "relay"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Set("Gateway.HTTPHeaders", map[string]any{"x-of-the-operator": []any{"yes"}}); err != nil {
		t.Fatal(err)
	}
	s, err := Serve(t.Context(), r, ServerOptions{Agent: "test", Bootstrap: nw.Addrs()[:1], Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	do := func(method, path string, body []byte) (int, http.Header, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.Servers.GatewayURL()+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", ipns.RecordMediaType)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header, string(text)
	}
	key := routingtest.NewKey(t)
	older := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa"})
	rec := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1})
	path := "/routing/v1/ipns/" + rec.Name().String()
	for _, step := range []struct {
		method, path string
		body         []byte
		code         int
		text         string
	}{
		{"GET", path, nil, 200, "delegate error: routing: not found"},
		{"PUT", path, rec.Raw(), 200, ""},
		{"GET", path, nil, 200, string(rec.Raw())},
		{"PUT", path, older.Raw(), 409, string(rec.Raw())},
		{"GET", "/routing/v1/dht/closest/peers/" + rec.Name().String(), nil, 200, `{"Peers":[{"Schema":"peer"`},
		{"GET", "/routing/v1/peers/" + nw.Server(7).ID().String(), nil, 200, `{"Peers":[{"Schema":"peer"`},
		{"GET", "/routing/v1/providers/bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am", nil, 200, `{"Providers":[]}`},
		{"GET", "/ipfs/bafkqaaa", nil, 404, ""},
		{"GET", "/ipns/" + rec.Name().String(), nil, 404, ""},
		{"POST", "/api/v0/id", nil, 404, ""},
	} {
		code, head, text := do(step.method, step.path, step.body)
		if code != step.code || !strings.HasPrefix(text, step.text) || head.Get("X-Of-The-Operator") != "yes" {
			t.Errorf("%s %s: %d %v %q", step.method, step.path, code, head, text)
		}
	}
	holders := 0
	for a, err := range s.network.Router().Search(t.Context(), rec.Name()) {
		if err != nil {
			t.Error(err)
		}
		if a.Record != nil && !a.Own {
			holders++
		}
	}
	if holders < publisher.DefaultAcks {
		t.Errorf("%d servers have what was PUT", holders)
	}
	if addrs := s.network.Host.Addrs(); len(addrs) > 0 || s.Servers.API != nil {
		t.Errorf("it listens on %v, its API on %v", addrs, s.Servers.API)
	}
}

// Without an address or with nothing to serve it does not start, and says why.
func TestAServerOfRoutingAloneNeedsAnAddress(t *testing.T) {
	for key, value := range map[string]any{"Addresses.Gateway": "", "Gateway.ExposeRoutingAPI": false} {
		r := newRepo(t)
		if _, err := r.Set(key, value); err != nil {
			t.Fatal(err)
		}
		if s, err := Serve(t.Context(), r, ServerOptions{Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s %v: %v, %v", key, value, s, err)
		}
	}
}

// newRepo makes the folder of a node that is a member of no network.
func newRepo(t *testing.T) repo.Repo {
	t.Helper()
	r := repo.Repo(filepath.Join(t.TempDir(), "repo"))
	config := repo.NewConfig(repo.Identity{})
	if err := config.Apply("test"); err != nil {
		t.Fatal(err)
	}
	if err := r.Make(); err != nil {
		t.Fatal(err)
	}
	if err := r.Create(config); err != nil {
		t.Fatal(err)
	}
	return r
}
