package verbs

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// A name cannot be published to itself, however it is written and whatever lies in
// between, unless the check is turned off.
func TestANameIsNotPublishedToItself(t *testing.T) {
	nw := testnet.ForTest(t, 3)
	n := start(t, newRepo(t), node.Config{Bootstrap: nw.Addrs()[:1]})
	n.Resolver.LookupTXT = func(_ context.Context, domain string) ([]string, time.Duration, error) {
		return []string{"dnslink=/ipns/" + n.Name.String()}, time.Minute, nil
	}
	req := rpc.New[api.PublishRequest]()
	req.AllowOffline = true
	put := func(path, key string, look bool) error {
		r := req
		r.Path, r.Key, r.Resolve = path, key, look
		_, err := rpc.Do(t.Context(), Mux(n), api.NamePublish, r)
		return err
	}
	other, err := rpc.Do(t.Context(), Mux(n), api.KeyGen, api.KeyGenRequest{Name: "other", Type: "ed25519", Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	own := n.Name.String()
	loops := []string{
		"/ipns/" + own, own, "ipns://" + own, "/ipns/" + n.Name.PeerID().String(), "/ipns/" + own + "/below",
		"/ipns/example.com", "/ipns/example.com/below", "/ipns/" + other.Id,
	}
	// Before the name has a value, after it has one, and when its value cannot be found.
	for _, reason := range []string{"", "itself"} {
		if err := put("/ipns/"+own, "other", false); err != nil {
			t.Fatal(err)
		}
		for _, path := range loops {
			if err := put(path, "self", true); err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s: %v", path, err)
			}
		}
		if err := put("/ipfs/bafkqaaa", "self", true); err != nil {
			t.Fatal(err)
		}
	}
	// Two keys may have the same value.
	if err := put("/ipns/"+own, "other", true); err != nil {
		t.Error(err)
	}
	if err := put("/ipns/"+own, "self", false); err != nil {
		t.Errorf("unseen: %v", err)
	}
}
