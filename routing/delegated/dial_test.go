package delegated

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// Whatever name led to it, only a public address is dialled, unless the URL itself
// names another one.
func TestPrivateAddressesAreNotDialled(t *testing.T) {
	for address, public := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1": true, "::ffff:8.8.8.8": true, "64:ff9b::808:808": true, "2002:808:808::1": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.0.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false,
		"::1": false, "::": false, "fe80::1%eth0": false, "fc00::1": false, "ff02::1": false, "::ffff:127.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b:1::808:808": false, "2002:7f00:1::1": false,
	} {
		err := new(dialer).control(t.Context(), "tcp", net.JoinHostPort(address, "80"), nil)
		if (err == nil) != public {
			t.Errorf("dial %s: %v", address, err)
		}
		if got := namesPrivate(address); got == public {
			t.Errorf("does a URL with %s name an address that is not public? %v", address, got)
		}
	}
	for host, private := range map[string]bool{"localhost": true, "LOCALHOST.": true, "a.localhost": true, "localhost.example": false, "router.example": false} {
		if got := namesPrivate(host); got != private {
			t.Errorf("%s: %v", host, got)
		}
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here := l.Addr().(*net.TCPAddr).AddrPort()
	if here.Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Fatal(here)
	}
	if conn, err := new(dialer).dial(t.Context(), "tcp", here.String()); err == nil || !strings.Contains(err.Error(), "not a public address") {
		t.Errorf("dial %s: %v, %v", here, conn, err)
	}
	conn, err := (&dialer{private: true}).dial(t.Context(), "tcp", here.String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// A redirect stays on the server.
func TestRedirectsStayWithin(t *testing.T) {
	for _, c := range []struct {
		base, to string
		gateway  bool
		within   bool
	}{
		{"http://a.example", "http://a.example/x", false, true},
		{"http://a.example", "https://a.example/x", false, true},
		{"https://a.example", "http://a.example/x", false, false},
		{"http://a.example:80", "https://a.example/x", false, false},
		{"http://127.0.0.1:1", "http://127.0.0.1:2/x", false, false},
		{"https://a.example", "https://b.example/x", false, false},
		{"https://a.example", "https://k51.ipns.a.example/", false, false},
		{"https://a.example", "https://k51.ipns.a.example/", true, true},
		{"http://localhost:1", "http://k51.ipns.localhost:1/", true, true},
		{"http://localhost:1", "http://k51.ipns.localhost:2/", true, false},
		{"https://a.example", "https://k51.ipns.a.example.evil.example/", true, false},
	} {
		client, err := New(Config{URL: c.base, Gateway: c.gateway})
		if err != nil {
			t.Fatal(err)
		}
		to, err := url.Parse(c.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := client.within(to); got != c.within {
			t.Errorf("from %s to %s: %v", c.base, c.to, got)
		}
	}
}
