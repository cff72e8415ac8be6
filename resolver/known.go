package resolver

import (
	"context"
	"errors"
	"fmt"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Known is [Resolver.Resolve] with the zero Options for a caller that does not wait: known says that the answer is at
// hand. Otherwise Resolve has it, or an error; the search that it needs may have begun.
func (r *Resolver) Known(ctx context.Context, path string) (res Resolution, known bool) {
	r.start()
	next, err := ParsePath(path)
	var hops []Hop
	for err == nil && mutable(next) && len(hops) < MaxDepth {
		if r.denied(next) != nil {
			return Resolution{}, false
		}
		root, rest := split(next)
		hop, known := r.knownHop(ctx, root)
		if !known {
			return Resolution{}, false
		}
		hops = append(hops, hop)
		next, err = appendRest(hop, rest)
	}
	if err != nil || mutable(next) {
		return Resolution{}, false
	}
	return r.resolution(next, hops), true
}

// knownHop is walker.hop without a search.
func (r *Resolver) knownHop(ctx context.Context, root string) (hop Hop, known bool) {
	name, domain, err := parseRoot(root)
	if err != nil {
		return Hop{}, false
	}
	if len(r.static) > 0 { // the text of a name takes as long to make as all else here
		key := domain
		if domain == "" {
			key = name.String()
		}
		if value, ok := r.static[key]; ok {
			return Hop{Root: key, Value: value, Source: staticSource, final: true, last: true}, true
		}
	}
	if domain != "" {
		return r.knownLink(domain)
	}
	at, err := r.join(name, Options{})
	if errors.Is(err, errOffline) {
		hop, err = r.offline(ctx, name)
		return hop, err == nil
	}
	return at.hop, err == nil && at.hop.last
}

// knownLink returns the cached DNSLink of a domain.
func (r *Resolver) knownLink(domain string) (Hop, bool) {
	now := r.now()
	r.mu.Lock()
	known, ok := r.links.get(domain)
	r.mu.Unlock()
	if !ok || known.err != nil || r.MaxCacheTTL < 0 || !now.Before(known.until) {
		return Hop{}, false
	}
	hop := known.hop(domain, now)
	hop.Cached, hop.final, hop.last = true, true, true
	return hop, true
}

// Last returns what this node last knew of a name, for who wants to say why it does not resolve: the newest record that is
// kept, which may have expired and is not verified again, and the mark of the name. rec is nil if there is only the mark,
// or nothing.
func (r *Resolver) Last(ctx context.Context, name ipns.Name) (rec *ipns.Record, mark recordstore.Mark, err error) {
	e, err := r.Book.Get(ctx, name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return nil, recordstore.Mark{}, fmt.Errorf("read what is known of %s: %w", name, err)
	}
	if mark, err = r.Book.Seen(ctx, name); err != nil {
		return nil, recordstore.Mark{}, fmt.Errorf("read what is known of %s: %w", name, err)
	}
	return e.Record, mark, nil
}
