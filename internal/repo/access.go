package repo

import (
	"fmt"
	"net/netip"
)

// API controls access to the RPC API.
type API struct {
	// HTTPHeaders are added to every response. Access-Control-Allow-Origin, -Methods
	// and -Credentials control which web pages may use the API besides its own; the
	// hosts of those origins are also accepted as Host.
	HTTPHeaders map[string][]string
	// Authorizations are the secrets that give access, each with a name. None: anyone
	// who can reach the API may use it.
	Authorizations map[string]*Authorization `json:",omitempty"`
	// AllowUnauthenticated allows an API without Authorizations on an address other
	// than loopback. Not a key of Kubo's.
	AllowUnauthenticated bool `json:",omitempty"`
}

// Authorization is one secret of the API.
type Authorization struct {
	AuthSecret   string   // bearer:TOKEN or basic:USER:PASSWORD
	AllowedPaths []string // including all paths below; /api/v0 is everything
}

// HTTP configures all HTTP servers of the node. Not a section of Kubo's.
type HTTP struct {
	// TrustedProxies are addresses and CIDR ranges of reverse proxies whose
	// X-Forwarded-For is trusted.
	TrustedProxies []string `json:",omitempty"`
}

// Proxies parses TrustedProxies.
func (h HTTP) Proxies() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range h.TrustedProxies {
		if a, err := netip.ParseAddr(text); err == nil {
			a = a.Unmap()
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("config setting HTTP.TrustedProxies: %q is neither an IP address nor a range such as 10.0.0.0/8", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
