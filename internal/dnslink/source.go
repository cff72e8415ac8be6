package dnslink

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/goipns/ipns/resolver"
)

// Source is someone who is asked for TXT records.
type Source struct {
	Name string // for people: where the answer is from
	// Lookup returns the TXT records of a host and their TTL; 0: it cannot tell.
	Lookup func(ctx context.Context, host string) ([]string, time.Duration, error)
}

// System is the DNS that this machine is set up with.
func System() Source { return plain("system DNS", "") }

// Server is a DNS server at host:port.
func Server(address string) (Source, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return Source{}, err
	}
	return plain(address, address), nil
}

// plain asks a server, or that of the system if server is empty.
func plain(name, server string) Source {
	return Source{name, func(ctx context.Context, host string) ([]string, time.Duration, error) {
		var heard ttl
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if server != "" {
				address = server
			}
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if udp, ok := conn.(*net.UDPConn); ok {
				return &overheard{udp, &heard}, nil
			}
			return conn, err // of an answer over TCP the TTL stays unknown
		}}
		txt, err := r.LookupTXT(ctx, host)
		return txt, heard.get(), err
	}}
}

// ttl is the shortest of the TXT records that were heard; the standard library does not
// return it.
type ttl struct {
	mu      sync.Mutex // guards below
	heard   bool
	seconds uint32
}

func (t *ttl) get() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Duration(t.seconds) * time.Second
}

// hear reads an answer. One that is none is left to the resolver.
func (t *ttl) hear(b []byte) {
	var m dnsmessage.Message
	if m.Unpack(b) != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range m.Answers {
		if a.Header.Type == dnsmessage.TypeTXT && (!t.heard || a.Header.TTL < t.seconds) {
			t.heard, t.seconds = true, a.Header.TTL
		}
	}
}

// overheard is a connection of a resolver, whose answers are heard too.
type overheard struct {
	*net.UDPConn
	heard *ttl
}

func (c *overheard) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	if err == nil {
		c.heard.hear(b[:n])
	}
	return n, err
}

// OverHTTPS is a DNS server that is asked over HTTPS (RFC 8484).
func OverHTTPS(server string) (Source, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return Source{}, errors.New("not a URL")
	}
	return Source{u.Host, (&resolver.DoH{Servers: map[string]string{".": server}}).LookupTXT}, nil
}
