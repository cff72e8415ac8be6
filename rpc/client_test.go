package rpc

import "testing"

func TestClientTakesAddresses(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/127.0.0.1/tcp/5001":          "http://127.0.0.1:5001",
		"/ip6/::1/tcp/5001/http":           "http://[::1]:5001",
		"/dns4/node.example/tcp/443/https": "https://node.example:443",
		"/dns/node.example/tcp/8/tls/http": "https://node.example:8",
		"https://node.example/":            "https://node.example",
		"/ip4/127.0.0.1/udp/5001":          "",
		"/ip4/127.0.0.1/tcp/5001/ws":       "",
		"127.0.0.1:5001":                   "",
	} {
		c, err := NewClient(addr)
		if (err == nil) != (want != "") || err == nil && c.base != want {
			t.Errorf("%s: %v, %v, want %q", addr, c, err, want)
		}
	}
}
