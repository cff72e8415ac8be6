package daemon

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/rpc"
)

// The metrics have a port of their own, and say what has happened.
func TestMetrics(t *testing.T) {
	r := newRepo(t)
	if err := r.Set("Addresses.Metrics", "/ip4/127.0.0.1/tcp/0"); err != nil {
		t.Fatal(err)
	}
	n := start(t, r, Options{Offline: true})
	s, err := n.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := rpc.Last(n.NamePublish(t.Context(), rpc.PublishRequest{Path: "/ipfs/bafkqaaa", Key: "self", AllowOffline: true, V1Compat: true})); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.Last(n.NameResolve(t.Context(), rpc.ResolveRequest{Recursive: true})); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.Last(n.RepublishStatus(t.Context(), rpc.RepublishStatusRequest{})); err != nil {
		t.Fatal(err)
	}
	_, hostport, err := manet.DialArgs(s.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + hostport + metricsPath)
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

// Signers of many names are found, also of keys that were made later.
func TestSigners(t *testing.T) {
	n := start(t, newRepo(t), Options{Offline: true})
	for i := range 20 {
		key, err := n.KeyGen(t.Context(), rpc.KeyGenRequest{Name: fmt.Sprintf("key%d", i), Type: "ed25519"})
		if err != nil {
			t.Fatal(err)
		}
		name, err := ipns.ParseName(key.Id)
		if err != nil {
			t.Fatal(err)
		}
		n.signers.read = n.signers.read.Add(-2 * indexAge)
		signer, err := n.signer(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if of, err := ipns.NameOf(signer.Public()); err != nil || of != name {
			t.Fatalf("signer of %v for %v", of, name)
		}
	}
	if signer, err := n.signer(t.Context(), n.name); err != nil || signer == nil {
		t.Errorf("no signer of the own name: %v", err)
	}
	other, err := ipns.ParseName("k51qzi5uqu5dkuzecxfiooxdteh453vx2cr203njjbycms8bi1i2oa4ixc9htj")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.signer(t.Context(), other); err == nil {
		t.Error("a signer of somebody else's name")
	}
	if _, err := n.KeyRemove(t.Context(), rpc.KeyRemoveRequest{Names: []string{"key3"}}); err != nil {
		t.Fatal(err)
	}
	for name, keyName := range n.signers.byName {
		if keyName == "key3" {
			if _, err := n.signer(t.Context(), name); err == nil {
				t.Error("a signer whose key is removed")
			}
		}
	}
}
