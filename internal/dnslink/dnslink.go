// Package dnslink explains the DNSLink of a domain: what its TXT records say to different
// askers, what is wrong with them, and which record to set.
//
// DNSLinks are not signed: all it can say is what it was told.
package dnslink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/resolver"
)

const (
	// Prefix is put before a domain: its TXT records are the DNSLink.
	Prefix = "_dnslink."
	// SuggestedTTL is that of the record to set, and the longest with which a change is
	// seen soon.
	SuggestedTTL = 5 * time.Minute

	longTTL = 24 * time.Hour
	field   = "dnslink="
)

// Answer is what one source said.
type Answer struct {
	Source string
	TXT    []string
	TTL    time.Duration `json:",omitempty"`
	Value  string        `json:",omitempty"` // the content path that TXT stands for
	Error  string        `json:",omitempty"`

	err error
}

// Report is what all of them said.
type Report struct {
	Domain  string
	Host    string // whose TXT records count
	Answers []Answer
	// Value is the content path, if all sources agree on one.
	Value string `json:",omitempty"`
	// Findings say what is wrong, and what mends it. None: all is well.
	Findings []string
	// Record is the line for the zone file that is right; empty: nobody knows what is wanted.
	Record string `json:",omitempty"`
}

// Check asks all sources for the DNSLink of a domain. name is what it should point to; if
// it is zero, anything is right.
func Check(ctx context.Context, domain string, name ipns.Name, sources []Source) (Report, error) {
	domain = strings.TrimSuffix(strings.TrimPrefix(domain, Prefix), ".")
	if !ipns.IsDomainName(domain) {
		return Report{}, fmt.Errorf("dnslink: %q is no domain", domain)
	}
	r := Report{Domain: domain, Host: Prefix + domain}
	for _, s := range sources {
		r.Answers = append(r.Answers, ask(ctx, s, r.Host))
	}
	r.agree()
	if r.Value == "" {
		r.elsewhere(ctx, sources)
	}
	want := r.Value
	if !name.IsZero() {
		want = "/ipns/" + name.String()
		r.compare(name)
	}
	if want != "" {
		r.Record = fmt.Sprintf("%s. %d IN TXT \"%s%s\"", r.Host, SuggestedTTL/time.Second, field, want)
	}
	return r, ctx.Err()
}

func ask(ctx context.Context, s Source, host string) Answer {
	a := Answer{Source: s.Name}
	if a.TXT, a.TTL, a.err = s.Lookup(ctx, host+"."); a.err == nil {
		a.Value, a.err = resolver.ParseLinks(a.TXT)
	}
	if a.err != nil {
		a.Error = a.err.Error()
	}
	return a
}

// none reports whether an answer is that there is no DNSLink.
func (a Answer) none() bool {
	var dns *net.DNSError
	return errors.As(a.err, &dns) && dns.IsNotFound || errors.Is(a.err, resolver.ErrNotFound)
}

func (r *Report) find(format string, args ...any) {
	r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
}

// agree compares the answers with each other, and looks at each.
func (r *Report) agree() {
	values := make(map[string]bool)
	for _, a := range r.Answers {
		switch {
		case a.none():
			values[""] = true
			r.find("%s: %s has no DNSLink", a.Source, r.Host)
		case a.err != nil:
			r.find("%s: %v", a.Source, a.err)
		default:
			values[a.Value] = true
			r.Value = a.Value
		}
		for _, txt := range a.TXT {
			if strings.HasPrefix(strings.ToLower(txt), "dnslink") && !valid(txt) {
				r.find("%s: the TXT record %q is no DNSLink: write %s and a path that begins with /ipns/ or /ipfs/, without spaces or quotes", a.Source, txt, field)
			}
		}
		if a.TTL > longTTL {
			r.find("%s: the TTL is %v, and after a change others go on with the old value for as long: set %v or less", a.Source, a.TTL, SuggestedTTL)
		}
	}
	if len(values) > 1 {
		r.Value = ""
		r.find("the sources do not agree: caches may hold an old value until its TTL is over, or a server of the zone has not got the new one")
	}
}

func valid(txt string) bool {
	_, err := resolver.ParseLinks([]string{txt})
	return err == nil
}

// elsewhere looks for a DNSLink at the domain itself, where nobody reads it.
func (r *Report) elsewhere(ctx context.Context, sources []Source) {
	for _, s := range sources {
		txt, _, err := s.Lookup(ctx, r.Domain+".")
		if err != nil {
			continue
		}
		for _, t := range txt {
			if strings.HasPrefix(t, field) && valid(t) {
				r.find("%s: the TXT record %q is at %s, where it is not read: move it to %s", s.Name, t, r.Domain, r.Host)
				return
			}
		}
	}
}

// compare compares the value with the name that it should be.
func (r *Report) compare(name ipns.Name) {
	if r.Value == "" {
		return
	}
	root, _, _ := strings.Cut(strings.TrimPrefix(r.Value, "/ipns/"), "/")
	if is, err := ipns.ParseName(root); err == nil && is == name {
		return
	}
	r.find("it points to %s and not to /ipns/%s: set the record below", r.Value, name)
}
