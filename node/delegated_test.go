package node

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// A record that was published here, one that the network has and one that nobody has
// are told apart under /routing/v1, on the port of the gateway.
func TestRecordsAreServedUnderRoutingV1(t *testing.T) {
	nw := testnet.ForTest(t, 25)
	r := newRepo(t)
	n := start(t, r, Config{Bootstrap: nw.Addrs()[:1]})
	s, err := n.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range n.Router.Search(t.Context(), n.Name) { // waits until the node has joined
	}
	res, err := n.Publisher.Publish(t.Context(), ipns.NewSigner(n.Key), publisher.Request{Value: "/ipfs/bafkqaaa", Wait: publisher.WaitAll})
	if err != nil {
		t.Fatal(err)
	}
	foreign := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa/foreign"})
	for _, err := range n.Router.Put(t.Context(), foreign, routing.Look{}) {
		if err != nil {
			t.Fatal(err)
		}
	}

	get := func(path string, header ...string) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.GatewayURL()+"/routing/v1/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, body
	}
	for _, rec := range []*ipns.Record{res.Record, foreign} {
		path := "ipns/" + rec.Name().String()
		resp, body := get(path)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != ipns.RecordMediaType || !bytes.Equal(body, rec.Raw()) {
			t.Errorf("a name: %s %v %x", resp.Status, resp.Header, body)
		}
		if resp, body := get(path, "If-None-Match", resp.Header.Get("Etag")); resp.StatusCode != http.StatusNotModified || len(body) > 0 {
			t.Errorf("with its Etag: %s %q", resp.Status, body)
		}
	}
	nobodys := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"}).Name()
	if resp, body := get("ipns/" + nobodys.String()); resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") == ipns.RecordMediaType {
		t.Errorf("a name that nobody has: %s %q %s", resp.Status, resp.Header.Get("Content-Type"), body)
	}
	if resp, body := get("dht/closest/peers/" + n.Name.String()); strings.Count(string(body), `"Schema":"peer"`) != 20 || !strings.Contains(string(body), "/ip4/127.0.0.1/tcp/") {
		t.Errorf("closest peers: %s %s", resp.Status, body)
	}
	if resp, body := get("peers/" + nw.Server(7).ID().String()); !strings.Contains(string(body), nw.Server(7).ID().String()) {
		t.Errorf("a peer: %s %s", resp.Status, body)
	}
	if resp, body := get("providers/bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"); resp.StatusCode != http.StatusOK || string(body) != "{\"Providers\":[]}\n" {
		t.Errorf("providers: %s %s", resp.Status, body)
	}

	if _, err := r.Set("Gateway.ExposeRoutingAPI", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if resp, _ := get("ipns/" + n.Name.String()); resp.StatusCode != http.StatusNotFound {
		t.Errorf("where the config does not want it: %s", resp.Status)
	}
}

// That nobody could be asked is no "nobody has it": clients keep that.
func TestWhatIsUnknownIsNotServedAsNone(t *testing.T) {
	name := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"}).Name()
	paths := []string{"ipns/" + name.String(), "peers/" + name.PeerID().String(), "providers/bafkqaaa", "dht/closest/peers/" + name.String()}
	for what, c := range map[string]struct {
		config Config
		others int // the status of all but names
	}{
		"offline":       {Config{Offline: true}, http.StatusNotImplemented},
		"on no network": {Config{}, http.StatusInternalServerError},
	} {
		n := start(t, newRepo(t), c.config)
		h := n.routingHandler(&n.Settings)
		for i, path := range paths {
			want := c.others
			if i == 0 {
				want = http.StatusInternalServerError
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/routing/v1/"+path, nil))
			if w.Code != want || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s, %s: %d %v %s", what, path, w.Code, w.Header(), w.Body)
			}
		}
	}
}
