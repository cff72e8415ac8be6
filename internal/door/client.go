package door

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Client returns the address that a request counts for: that of its client, for IPv6 the
// /64. Requests from this machine count for none.
func Client(r *http.Request) netip.Addr { return share(remote(r.RemoteAddr)) }

// remote returns the address in host:port, or the zero Addr if there is none, as on a
// Unix socket.
func remote(hostport string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

func contains(all []netip.Prefix, a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(a) })
}

// proxied returns the client of a request that came through trusted proxies: the last
// address in X-Forwarded-For that is not a trusted proxy. Each proxy appends the address
// it received the request from; anything before that may be forged.
func proxied(r *http.Request, trusted []netip.Prefix) (netip.Addr, bool) {
	if !contains(trusted, remote(r.RemoteAddr)) {
		return netip.Addr{}, false
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	var client netip.Addr
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		a, err := netip.ParseAddr(hop)
		if err != nil {
			if a = remote(hop); !a.IsValid() {
				break
			}
		}
		client = a.Unmap().WithZone("")
		if !contains(trusted, client) {
			break
		}
	}
	return client, client.IsValid()
}
