package repo

import (
	"fmt"
	"net/netip"
	"strings"
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

// conceal removes the private key and the secrets of the API from a config before it is
// shown: reading the config must not give more access.
func conceal(tree map[string]any) {
	remove(section(tree, "Identity"), "PrivKey")
	for _, a := range section(section(tree, "API"), "Authorizations") {
		remove(a, "AuthSecret")
	}
}

// section returns the section of m with a key, or nil.
func section(m map[string]any, key string) map[string]any {
	v, _ := lookup(m, key)
	sub, _ := v.(map[string]any)
	return sub
}

// remove deletes a key of m, ignoring case, if m is a section.
func remove(m any, key string) {
	if m, ok := m.(map[string]any); ok {
		for k := range m {
			if strings.EqualFold(k, key) {
				delete(m, k)
			}
		}
	}
}
