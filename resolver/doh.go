package resolver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	dnsMediaType = "application/dns-message"
	maxDNSReply  = 64 << 10 // maximum size of a DNS message, in bytes
	maxCNAMEs    = 8
)

// DoH looks up TXT records over HTTPS (RFC 8484). Unlike the system resolver it returns
// TTLs, and it reaches zones outside the public DNS. Use its LookupTXT as
// Resolver.LookupTXT.
type DoH struct {
	// Servers maps a domain to the URL of the server for it and its subdomains, as in
	// "eth." to "https://dns.eth.limo/dns-query". The longest match wins; "." matches
	// everything.
	Servers map[string]string
	// Client makes the requests. nil: a client with a timeout of 10 s that follows no
	// redirect to another host.
	Client *http.Client
	// Other looks up domains without a match in Servers. nil: the system resolver.
	Other func(ctx context.Context, domain string) ([]string, time.Duration, error)
}

var dohClient = &http.Client{
	Timeout:   dnsTimeout,
	Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableCompression: true, IdleConnTimeout: time.Minute},
	CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme || len(via) > 3 {
			return errors.New("redirected elsewhere")
		}
		return nil
	},
}

// LookupTXT returns the TXT records of a domain, the strings of each joined, and the
// smallest TTL, including that of CNAMEs on the way.
func (d *DoH) LookupTXT(ctx context.Context, domain string) ([]string, time.Duration, error) {
	domain = strings.ToLower(strings.TrimSuffix(domain, ".")) + "."
	server := d.server(domain)
	if server == "" {
		if d.Other != nil {
			return d.Other(ctx, domain)
		}
		return systemTXT(ctx, domain)
	}
	fail := func(err error) ([]string, time.Duration, error) {
		return nil, 0, fmt.Errorf("TXT of %s from %s: %w", domain, host(server), err)
	}
	name, err := dnsmessage.NewName(domain)
	if err != nil {
		return fail(err)
	}
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET}},
	}
	packed, err := query.Pack()
	if err != nil {
		return fail(err)
	}
	reply, err := d.exchange(ctx, server, packed)
	if err != nil {
		return fail(err)
	}
	txt, ttl, err := readTXT(domain, reply)
	if err != nil {
		return fail(err)
	}
	return txt, ttl, nil
}

// host is what an error shows of the URL of a server: visitors of a gateway read it,
// and the rest may hold a password or token.
func host(server string) string {
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		return u.Host
	}
	return "its DNS server"
}

// server returns the URL for a domain, "" if none matches.
func (d *DoH) server(domain string) string {
	for rest := domain; ; {
		if server := d.Servers[rest]; server != "" {
			return server
		}
		_, above, ok := strings.Cut(rest, ".")
		if !ok {
			return ""
		}
		if above == "" {
			return d.Servers["."]
		}
		rest = above
	}
}

func (d *DoH) exchange(ctx context.Context, server string, query []byte) ([]byte, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, errors.New("the URL in the config is not one") // err quotes it
	}
	q := u.Query()
	q.Set("dns", base64.RawURLEncoding.EncodeToString(query))
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", dnsMediaType)
	client := d.Client
	if client == nil {
		client = dohClient
	}
	res, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL
		}
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("server answered %s", res.Status)
	}
	if t, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); t != dnsMediaType {
		return nil, fmt.Errorf("server answered with %q", t)
	}
	var reply bytes.Buffer
	if _, err := io.Copy(&reply, io.LimitReader(res.Body, maxDNSReply+1)); err != nil {
		return nil, err
	}
	if reply.Len() > maxDNSReply {
		return nil, fmt.Errorf("answer is larger than %d bytes", maxDNSReply)
	}
	return reply.Bytes(), nil
}

// readTXT finds the records of a domain in a reply, following its CNAMEs.
func readTXT(domain string, reply []byte) (txt []string, ttl time.Duration, err error) {
	var m dnsmessage.Message
	if err := m.Unpack(reply); err != nil {
		return nil, 0, err
	}
	notFound := &net.DNSError{Err: "no such host", Name: domain, IsNotFound: true}
	switch {
	case !m.Response:
		return nil, 0, errors.New("reply is a DNS query, not a response")
	case m.RCode == dnsmessage.RCodeNameError:
		return nil, 0, notFound
	case m.RCode != dnsmessage.RCodeSuccess:
		return nil, 0, &net.DNSError{Err: "server misbehaving: " + m.RCode.String(), Name: domain, IsTemporary: true}
	}
	ttl = maxLinkTTL
	owner := domain
	for range maxCNAMEs + 1 {
		alias := ""
		for _, rr := range m.Answers {
			if !strings.EqualFold(rr.Header.Name.String(), owner) {
				continue
			}
			switch body := rr.Body.(type) {
			case *dnsmessage.TXTResource:
				txt = append(txt, strings.Join(body.TXT, ""))
			case *dnsmessage.CNAMEResource:
				alias = body.CNAME.String()
			default:
				continue
			}
			ttl = min(ttl, time.Duration(rr.Header.TTL)*time.Second)
		}
		switch {
		case len(txt) > 0:
			return txt, ttl, nil
		case alias == "":
			return nil, 0, notFound
		}
		owner = alias
	}
	return nil, 0, fmt.Errorf("more than %d CNAMEs", maxCNAMEs)
}
