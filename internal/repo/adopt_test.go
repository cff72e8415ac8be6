package repo

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAdoptTakesWhatMeansTheSameAndNamesTheRest(t *testing.T) {
	tree, err := decodeTree([]byte(`{
		"Identity": {"PeerID": "12D3", "PrivKey": "secret"},
		"Addresses": {"API": ["/ip4/127.0.0.1/tcp/5001", "/unix/api"], "Gateway": ["/ip4/127.0.0.1/tcp/8080"], "Swarm": ["/ip4/0.0.0.0/tcp/4001"]},
		"API": {"Authorizations": {"Bob": {"AllowedPaths": ["/api/v0/name"], "AuthSecret": "bearer:hidden"}}, "HTTPHeaders": {}},
		"Bootstrap": ["auto"],
		"Datastore": {"StorageMax": "10GB", "HashOnRead": false, "BloomFilterSize": 0},
		"Discovery": {"MDNS": {"Enabled": true}},
		"DNS": {"Resolvers": {"eth.": "https://dns.example/dns-query"}},
		"Gateway": {"PublicGateways": {"example.com": {"Paths": ["/ipns"]}, "localhost": null}, "DeserializedResponses": "default", "RootRedirect": "/x"},
		"Ipns": {"RepublishPeriod": "2h", "RecordLifetime": "1h", "ResolveCacheSize": 64},
		"Import": {"CidVersion": 1},
		"Pinning": {"RemoteServices": {"p": {"API": {"Endpoint": "https://pin.example", "Key": "hidden"}}}},
		"Swarm": {"ConnMgr": {"LowWater": 10}, "Transports": {"Network": {"QUIC": false}}},
		"Nonsense": {"A": 1}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	c, left, err := Adopt(tree)
	if err != nil {
		t.Fatal(err)
	}
	if c.Addresses.API != "/ip4/127.0.0.1/tcp/5001" || c.Addresses.Gateway != "/ip4/127.0.0.1/tcp/8080" || c.Identity.PrivKey != "secret" ||
		c.API.Authorizations["Bob"].AuthSecret != "bearer:hidden" || c.DNS.Resolvers["eth."] != "https://dns.example/dns-query" ||
		c.Gateway.PublicGateways["example.com"].Paths[0] != "/ipns" || time.Duration(c.Ipns.RepublishPeriod) != 2*time.Hour || c.Swarm.ConnMgr.LowWater != 10 || On(c.Swarm.Transports.Network.QUIC) {
		t.Errorf("got %+v", c)
	}
	if host, ok := c.Gateway.PublicGateways["localhost"]; !ok || host != nil {
		t.Error("a host that Kubo does not serve is served")
	}
	if c.Discovery.MDNS.Enabled || c.Gateway.DeserializedResponses != nil || c.Ipns.RecordLifetime != 0 {
		t.Errorf("got %+v", c)
	}
	// One value may need another that comes later.
	lower := map[string]any{"Ipns": map[string]any{"RecordLifetime": "1h", "RepublishPeriod": "30m"}}
	if c, left, err := Adopt(lower); err != nil || len(left) > 0 || time.Duration(c.Ipns.RecordLifetime) != time.Hour {
		t.Errorf("got %+v, %q, %v", c.Ipns, left, err)
	}
	var keys []string
	for _, line := range left {
		key, why, ok := strings.Cut(line, ": ")
		if !ok || why == "" {
			t.Errorf("%q says not why", line)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	want := []string{
		"Addresses.API", "Discovery.MDNS.Enabled", "Ipns.RecordLifetime",
		"Nonsense",
	}
	if !slices.Equal(keys, want) {
		t.Errorf("left out %q, want %q", keys, want)
	}
	if strings.Contains(strings.Join(left, "\n"), "hidden") {
		t.Error("a secret is shown")
	}
}
