package repo

import "time"

// ensDNS is a public service that resolves domains below eth. from ENS.
const ensDNS = "https://dns.eth.limo/dns-query"

// Servers are the URLs of DNS-over-HTTPS servers by the domains that they are asked for.
func (d DNS) Servers() map[string]string {
	servers := map[string]string{"eth.": ensDNS}
	for domain, url := range d.Resolvers {
		if url != "auto" {
			servers[domain] = url
		}
	}
	return servers
}

// CacheBound is MaxCacheTTL in the form of resolver and gateway: 0 for no bound, -1 for
// no cache.
func (i *Ipns) CacheBound() time.Duration {
	switch ttl := i.MaxCacheTTL; {
	case ttl == nil:
		return 0
	case *ttl == 0:
		return -1
	default:
		return time.Duration(*ttl)
	}
}
