package daemon

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/rpc"
)

// NameResolve implements [rpc.Names].
func (n *Node) NameResolve(ctx context.Context, req rpc.ResolveRequest) iter.Seq2[rpc.Resolved, error] {
	return func(yield func(rpc.Resolved, error) bool) {
		path, o, err := n.resolveOptions(ctx, req)
		if err != nil {
			yield(rpc.Resolved{}, err)
			return
		}
		begin := time.Now()
		if !req.Stream {
			res, err := n.resolver.Resolve(ctx, path, o)
			observe(n.metrics.resolve, begin, err)
			yield(resolved(res, req.Verbose), wayOut(err))
			return
		}
		shown := ""
		for res, err := range n.resolver.Stream(ctx, path, o) {
			if shown == "" {
				observe(n.metrics.resolve, begin, err)
			}
			if err == nil && res.Path == shown && !req.Verbose {
				continue // confirmed, nothing new to print
			}
			shown = res.Path
			if !yield(resolved(res, req.Verbose), wayOut(err)) {
				return
			}
		}
	}
}

// resolved is what a client is told: the path alone, as Kubo does, or how it was
// found as well.
func resolved(res resolver.Resolution, verbose bool) rpc.Resolved {
	out := rpc.Resolved{Path: res.Path}
	if !verbose {
		return out
	}
	for _, h := range res.Hops {
		hop := rpc.ResolvedHop{
			Root: h.Root, Value: h.Value, TTL: h.TTL, Source: h.Source, Network: h.Network,
			Cached: h.Cached, Stale: h.Stale, Agree: h.Agree, Answered: h.Answered,
		}
		if h.Record != nil {
			hop.Sequence, hop.EOL = &h.Sequence, &h.EOL
		}
		out.Hops = append(out.Hops, hop)
	}
	return out
}

func (n *Node) resolveOptions(ctx context.Context, req rpc.ResolveRequest) (path string, o resolver.Options, err error) {
	if req.Timeout < 0 {
		return "", o, errors.New("DHT timeout value must be >= 0")
	}
	path = req.Name
	if path == "" {
		path = n.name.String()
	}
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "/ipns/") {
		return "", o, fmt.Errorf("%q is not an IPNS name", path)
	}
	o = resolver.Options{OneHop: !req.Recursive, NoCache: req.NoCache, Timeout: req.Timeout, Offline: n.offline(ctx)}
	if req.Timeout == 0 {
		o.Timeout = -1
	}
	if req.NoCache {
		// Somebody who distrusts the cache wants what servers agree on.
		o.Confidence = resolver.All
		if req.RecordCount > 0 {
			o.Confidence = resolver.Confidence(req.RecordCount)
		}
	}
	return path, o, nil
}

// offline reports whether a request is to be answered with what is here.
func (n *Node) offline(ctx context.Context) bool { return n.host == nil || rpc.IsOffline(ctx) }

// resolve follows a path that begins with /ipns/ to what it means now.
func (n *Node) resolve(ctx context.Context, path string) (string, error) {
	res, err := n.resolver.Resolve(ctx, path, resolver.Options{Offline: n.offline(ctx)})
	return res.Path, err
}

// NameGet implements [rpc.Names].
func (n *Node) NameGet(ctx context.Context, req rpc.NameGetRequest) (rpc.Stream, error) {
	name, err := parseName(req.Name)
	if err != nil {
		err = fmt.Errorf("invalid IPNS name: %w", err)
	}
	var rec *ipns.Record
	if err == nil {
		rec, err = n.record(ctx, name)
	}
	if err != nil && n.offline(ctx) {
		err = rpc.ErrOffline // with a network there may be another answer
	}
	if err != nil {
		return rpc.Stream{}, err
	}
	raw := rec.Raw()
	return rpc.Stream{ReadCloser: bytesReader(raw), Type: ipns.RecordMediaType, Size: int64(len(raw))}, nil
}

// record finds the newest record of a name.
func (n *Node) record(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	hop, err := n.resolver.Lookup(ctx, name, resolver.Options{Offline: n.offline(ctx)})
	if errors.Is(err, resolver.ErrNotFound) {
		return nil, errors.New("routing: not found")
	}
	return hop.Record, wayOut(err)
}

// parseName parses a name, given with or without ipns:// before it.
func parseName(text string) (ipns.Name, error) {
	if scheme, rest, ok := strings.Cut(text, ":"); ok && strings.EqualFold(scheme, "ipns") {
		text = strings.TrimPrefix(rest, "//")
	}
	return ipns.ParseName(text)
}
