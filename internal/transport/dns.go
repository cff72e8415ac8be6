package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	doh "github.com/libp2p/go-doh-resolver"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/goipns/ipns/internal/autotls"
	"github.com/goipns/ipns/internal/repo"
)

// newResolver returns what resolves names in multiaddrs: the servers of the config's
// DNS.Resolvers, else the DNS of the system.
//
// Below the domain of AutoTLS are names of nodes with their addresses in them, such as
// 192-0-2-1.k51….libp2p.direct: nobody needs to be asked.
func newResolver(c *repo.DNS, t *repo.AutoTLS) (*madns.Resolver, error) {
	fallback := madns.BasicResolver(net.DefaultResolver)
	var options []madns.Option
	for domain, url := range c.Resolvers {
		if url == repo.Auto || url == "" {
			continue
		}
		server, err := doh.NewResolver(url)
		if err != nil {
			return nil, fmt.Errorf("config DNS.Resolvers: %q: %w", domain, err)
		}
		if domain == "." {
			fallback = server
			continue
		}
		options = append(options, madns.WithDomainResolver(domain, server))
	}
	options = append(options, madns.WithDefaultResolver(fallback))
	if domain := autotls.Domain(t); repo.On(t.SkipDNSLookup) {
		options = append(options, madns.WithDomainResolver(domain+".", direct{fallback, 1 + strings.Count(domain, ".")}))
	}
	return madns.NewResolver(options...)
}

// direct resolves names that have their address in them, and asks for others.
type direct struct {
	madns.BasicResolver
	dots int // in what follows the address: the peer id, and the domain
}

// LookupIPAddr returns the address in the first label of a name, if there is one.
func (d direct) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	label, rest, _ := strings.Cut(strings.TrimSuffix(name, "."), ".")
	if strings.Count(rest, ".") != d.dots {
		return d.BasicResolver.LookupIPAddr(ctx, name)
	}
	for _, text := range []string{strings.ReplaceAll(label, "-", "."), strings.ReplaceAll(label, "-", ":")} {
		if strings.HasPrefix(text, ":") && !strings.HasPrefix(text, "::") {
			text = "0" + text // a label cannot begin or end with a dash
		}
		if ip, err := netip.ParseAddr(text); err == nil {
			return []net.IPAddr{{IP: ip.AsSlice()}}, nil
		}
	}
	return d.BasicResolver.LookupIPAddr(ctx, name)
}
