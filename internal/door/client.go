package door

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// remote is the address of host:port; the zero Addr if there is none, as on a
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

// proxied returns the client of a request that came through trusted proxies: the
// last one in X-Forwarded-For that is none of them, for each proxy appends whom
// it heard, and what stands before that anybody can write.
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
