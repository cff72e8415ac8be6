package dnslink

import (
	"context"
	"errors"
	"net"
	"net/url"
	"time"

	"github.com/goipns/ipns/resolver"
)

// Source is someone who is asked for TXT records.
type Source struct {
	Name string // for people: where the answer is from
	// Lookup returns the TXT records of a host and their TTL; 0: it cannot tell.
	Lookup func(ctx context.Context, host string) ([]string, time.Duration, error)
}

// System is the DNS that this machine is set up with.
func System() Source { return plain("system DNS", net.DefaultResolver) }

// Server is a DNS server at host:port.
func Server(address string) (Source, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return Source{}, err
	}
	return plain(address, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}), nil
}

func plain(name string, r *net.Resolver) Source {
	return Source{name, func(ctx context.Context, host string) ([]string, time.Duration, error) {
		txt, err := r.LookupTXT(ctx, host)
		return txt, 0, err
	}}
}

// OverHTTPS is a DNS server that is asked over HTTPS (RFC 8484).
func OverHTTPS(server string) (Source, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return Source{}, errors.New("not a URL")
	}
	return Source{u.Host, (&resolver.DoH{Servers: map[string]string{".": server}}).LookupTXT}, nil
}
