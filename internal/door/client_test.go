package door

import (
	"net/http"
	"testing"
)

// Who sends by IPv6 is known by the /64.
func TestAClientIsItsAddressOrItsNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"8.8.8.8:1": "8.8.8.8", "[::ffff:8.8.8.8]:1": "8.8.8.8", "[2001:db8:1:2:3::4]:1": "2001:db8:1:2::", "[::1]:9": "invalid IP", "127.0.0.1:9": "invalid IP", "@": "invalid IP",
	} {
		if got := Client(&http.Request{RemoteAddr: remote}); got.String() != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}
