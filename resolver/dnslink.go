package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
)

// Limits of one DNSLink lookup.
const (
	MaxTXT = 64 // TXT records per domain

	dnsTimeout = 10 * time.Second
	maxLinkTTL = 24 * time.Hour
	linkPrefix = "dnslink="
	linkLabel  = "_dnslink."
	linkSource = "dnslink"
)

var (
	errNoLink   = fmt.Errorf("%w: DNSLink lookup could not find a TXT record (https://docs.ipfs.tech/concepts/dnslink/)", ErrNotFound)
	errTwoLinks = errors.New("could not resolve name: DNSLink lookup returned more than one IPFS content path; ask domain owner to remove duplicate TXT records")
)

// link is a cached DNSLink of a domain.
type link struct {
	value    string
	err      error
	until    time.Time // cached until then; zero if the TTL is unknown
	modified time.Time // when the value was first seen
}

// linkLookup is one running DNS lookup.
type linkLookup struct {
	done chan struct{}
	link link // valid once done is closed
}

// lookupLink looks up the DNSLink of a domain. DNSLinks are not signed.
func (r *Resolver) lookupLink(ctx context.Context, domain string, opt Options) (Hop, error) {
	now := r.now()
	r.mu.Lock()
	known, ok := r.links.get(domain)
	cached := ok && now.Before(known.until) && !opt.NoCache && (r.MaxCacheTTL >= 0 || known.err != nil)
	var a *linkLookup
	if !cached && !opt.Offline && !r.closed {
		a = r.linkLookups[domain]
		if a == nil && len(r.linkLookups) < DefaultMaxSearches {
			a = &linkLookup{done: make(chan struct{})}
			r.linkLookups[domain] = a
			r.wg.Go(func() { r.runLinkLookup(domain, a) })
		}
	}
	closed := r.closed
	r.mu.Unlock()
	switch {
	case cached:
	case a != nil:
		select {
		case <-a.done:
			known = a.link
		case <-ctx.Done():
			return Hop{}, linkError(domain, context.Cause(ctx))
		}
	case closed || opt.Offline:
		return Hop{}, linkError(domain, errOffline)
	default:
		return Hop{}, linkError(domain, ErrBusy)
	}
	if known.err != nil {
		return Hop{}, linkError(domain, known.err)
	}
	hop := known.hop(domain, now)
	hop.Cached = cached
	return hop, nil
}

// hop returns the Hop for a domain that has this link.
func (l *link) hop(domain string, now time.Time) Hop {
	return Hop{
		Root: domain, Value: l.value, Source: linkSource,
		TTL: max(0, l.until.Sub(now)), ttlKnown: !l.until.IsZero(), modified: l.modified,
	}
}

func linkError(domain string, err error) error {
	if errors.Is(err, errTimeout) {
		err = context.DeadlineExceeded
	}
	return fmt.Errorf("DNSLink lookup for %q failed: %w", domain+".", err)
}

// runLinkLookup makes one DNS lookup for all waiting callers.
func (r *Resolver) runLinkLookup(domain string, a *linkLookup) {
	ctx, cancel := context.WithTimeout(r.ctx, dnsTimeout)
	defer cancel()
	lookup := r.LookupTXT
	if lookup == nil {
		lookup = systemTXT
	}
	host := domain
	if !strings.HasPrefix(host, linkLabel) {
		host = linkLabel + host
	}
	txt, ttl, err := lookup(ctx, host+".")
	now := r.now()
	var notFound *net.DNSError
	switch {
	case errors.As(err, &notFound) && notFound.IsNotFound:
		a.link.err = errNoLink
	case err != nil:
		a.link.err = err
	default:
		a.link.value, a.link.err = ParseLinks(txt)
	}
	a.link.modified = now
	switch {
	case errors.Is(a.link.err, ErrNotFound):
		a.link.until = now.Add(notFoundPause)
	case a.link.err != nil:
		a.link.until = now.Add(failedPause)
	case ttl > 0:
		ttl = min(ttl, maxLinkTTL)
		if r.MaxCacheTTL > 0 {
			ttl = min(ttl, r.MaxCacheTTL)
		}
		a.link.until = now.Add(ttl)
	}
	r.mu.Lock()
	if old, ok := r.links.get(domain); ok && old.err == nil && old.value == a.link.value {
		a.link.modified = old.modified
	}
	r.links.put(domain, a.link)
	delete(r.linkLookups, domain)
	r.mu.Unlock()
	close(a.done)
}

// ParseLinks finds the one content path among TXT records. It ignores those that are
// not DNSLinks.
func ParseLinks(txt []string) (string, error) {
	if len(txt) > MaxTXT {
		return "", fmt.Errorf("could not resolve name: more than %d TXT records", MaxTXT)
	}
	var paths []string
	for _, entry := range txt {
		if path, ok := parseLink(entry); ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	switch len(paths) {
	case 0:
		return "", errNoLink
	case 1:
		return paths[0], nil
	}
	return "", errTwoLinks
}

// parseLink parses one TXT record: a path or, as was once usual, a CID, with or without
// "dnslink=" before it.
func parseLink(entry string) (path string, ok bool) {
	if len(entry) > MaxPathLength {
		return "", false
	}
	for _, b := range []byte(entry) {
		if b < 0x20 || b > 0x7e {
			return "", false
		}
	}
	value := strings.TrimPrefix(entry, linkPrefix)
	if len(value) <= maxRoot {
		if c, err := cid.Decode(value); err == nil {
			return "/ipfs/" + c.String(), true
		}
	}
	path, err := parseBounded(value)
	return path, err == nil
}
