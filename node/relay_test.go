package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// T-50 to T-54: what strangers PUT reaches the DHT if the config wants that, and is not
// kept; what is older than that is refused with the newer record.
func TestRecordsOfStrangersAreRelayedAndNotKept(t *testing.T) {
	nw := testnet.ForTest(t, 25)
	r := newRepo(t)
	n := start(t, r, Config{Bootstrap: nw.Addrs()[:1]})
	s, err := n.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func(rec *ipns.Record) (int, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.GatewayURL()+"/routing/v1/ipns/"+rec.Name().String(), bytes.NewReader(rec.Raw()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", ipns.RecordMediaType)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body
	}
	key := routingtest.NewKey(t)
	var recs []*ipns.Record
	for i := range uint64(3) {
		recs = append(recs, routingtest.Sign(t, key, ipns.Fields{Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", i), Sequence: i + 1}))
	}
	if code, body := put(recs[1]); code != http.StatusMethodNotAllowed {
		t.Errorf("where the config does not want it: %d %s", code, body)
	}
	if _, err := r.Set("Gateway.RoutingPuts", "relay"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what string
		rec  *ipns.Record
		code int
		body []byte
	}{
		{"a record", recs[1], http.StatusOK, nil},
		{"the same again", recs[1], http.StatusOK, nil},
		{"an older one", recs[0], http.StatusConflict, recs[1].Raw()},
		{"a newer one", recs[2], http.StatusOK, nil},
	} {
		if code, body := put(step.rec); code != step.code || !bytes.Equal(body, step.body) {
			t.Errorf("%s: %d %q", step.what, code, body)
		}
	}
	holders := 0
	for a, err := range n.Router.Search(t.Context(), recs[2].Name()) {
		if err != nil {
			t.Error(err)
		}
		if a.Record != nil && !a.Own && a.Record.Sequence() == 3 {
			holders++
		}
	}
	if holders < publisher.DefaultAcks {
		t.Errorf("%d servers have it", holders)
	}
	if e, err := n.Book.Get(t.Context(), recs[2].Name()); !errors.Is(err, recordstore.ErrNotFound) {
		t.Errorf("it is kept: %+v, %v", e, err)
	}
	// The network has something newer, which this node has not seen.
	key = routingtest.NewKey(t)
	older := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa/old"})
	newer := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa/new", Sequence: 9})
	for _, err := range n.Router.Put(t.Context(), newer, routing.Look{}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if code, body := put(older); code != http.StatusConflict || !bytes.Equal(body, newer.Raw()) {
		t.Errorf("an older one than that of the network: %d %q", code, body)
	}
}
