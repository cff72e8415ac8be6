package verbs

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// The metrics have their own port, and count what has happened.
func TestMetrics(t *testing.T) {
	r := newRepo(t)
	if _, err := r.Set("Addresses.Metrics", "/ip4/127.0.0.1/tcp/0"); err != nil {
		t.Fatal(err)
	}
	n := start(t, r, node.Config{Offline: true})
	s, err := n.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := rpc.Do(t.Context(), Mux(n), api.NamePublish, api.PublishRequest{Path: "/ipfs/bafkqaaa", Key: "self", AllowOffline: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.Do(t.Context(), Mux(n), api.NameResolve, api.ResolveRequest{Recursive: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.Do(t.Context(), Mux(n), api.RepublishStatus, api.RepublishStatusRequest{}); err != nil {
		t.Fatal(err)
	}
	_, hostport, err := manet.DialArgs(s.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + hostport + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	text := "\n" + string(body)
	for _, line := range []string{
		`ipns_publish_seconds_count{result="ok"} 1`, `ipns_resolve_seconds_count{result="ok"} 1`, `ipns_names_own 1`, `ipns_names_at_risk 0`,
		`ipns_names_late 0`, `ipns_holders 0`, `ipns_republish_puts_total 0`, `ipns_records_total{outcome="new"} 1`, `ipns_announcing 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no %s in the metrics", line)
		}
	}
	if bad := regexp.MustCompile(`(?m)^ipns_\S+ (NaN|-)`).FindString(text); bad != "" {
		t.Errorf("metrics have %s", bad)
	}
}
