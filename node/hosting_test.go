package node

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing/routingtest"
)

// What a tenant puts at the address of hosting is kept, and announced byte for byte without
// being asked for; the config says who may put, also when it is read again.
func TestWhatTenantsPutIsKeptAndAnnounced(t *testing.T) {
	nw := testnet.ForTest(t, 25)
	r := newRepo(t)
	for key, value := range map[string]string{"Addresses.Hosting": "/ip4/127.0.0.1/tcp/0", "Hosting.Policy": "token"} {
		if _, err := r.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	n := start(t, r, Config{Bootstrap: nw.Addrs()[:1]})
	s, err := n.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, at, err := manet.DialArgs(s.Hosting)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := n.Hosting.NewToken(t.Context(), "a", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	key := routingtest.NewKey(t)
	rec := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 3})
	put := func(token string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+at+"/routing/v1/ipns/"+rec.Name().String(), bytes.NewReader(rec.Raw()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", ipns.RecordMediaType)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	if code := put(""); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", code)
	}
	if code := put(token); code != http.StatusOK {
		t.Fatalf("with a token: %d", code)
	}
	e, err := n.Book.Get(t.Context(), rec.Name())
	if err != nil || e.Tenant != "a" || e.Origin != recordstore.Hosted || !bytes.Equal(e.Record.Raw(), rec.Raw()) {
		t.Errorf("kept is %+v, %v", e, err)
	}
	for announced := false; !announced; time.Sleep(50 * time.Millisecond) { // go test bounds it
		u, err := n.Book.Upkeep(t.Context(), rec.Name())
		if err != nil {
			t.Fatal(err)
		}
		announced = u.Announced == rec.Hash() && u.Holders >= 15
	}
	holders := 0
	for a, err := range n.Router.Search(t.Context(), rec.Name()) {
		if err != nil {
			t.Error(err)
			break
		}
		if a.Record != nil && bytes.Equal(a.Record.Raw(), rec.Raw()) {
			holders++
		}
	}
	if holders == 0 {
		t.Error("nobody has the record")
	}
	if _, err := r.Set("Hosting.Policy", "open"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if code := put(""); code != http.StatusOK {
		t.Errorf("without a token where everybody may: %d", code)
	}
}
