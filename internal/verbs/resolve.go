package verbs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/rpc"
)

// nameResolve implements the command.
func (n *verbs) nameResolve(ctx context.Context, req api.ResolveRequest) iter.Seq2[api.Resolved, error] {
	return func(yield func(api.Resolved, error) bool) {
		path, o, err := n.resolveOptions(ctx, req)
		if err != nil {
			yield(api.Resolved{}, err)
			return
		}
		begin := time.Now()
		if !req.Stream {
			res, err := n.Resolver.Resolve(ctx, path, o)
			n.Metrics.Resolved(begin, err)
			yield(resolved(res, req.Verbose), unresolved(err))
			return
		}
		shown := ""
		for res, err := range n.Resolver.Stream(ctx, path, o) {
			if shown == "" {
				n.Metrics.Resolved(begin, err)
			}
			if err == nil && res.Path == shown && !req.Verbose {
				continue // confirmed, nothing new to print
			}
			shown = res.Path
			if !yield(resolved(res, req.Verbose), away(err)) {
				return
			}
		}
	}
}

// resolved returns the response: only the path, as in Kubo, or also how it was found.
func resolved(res resolver.Resolution, verbose bool) api.Resolved {
	out := api.Resolved{Path: res.Path, Silent: res.Silent}
	if !verbose {
		return out
	}
	for _, h := range res.Hops {
		hop := api.ResolvedHop{
			Root: h.Root, Value: h.Value, TTL: h.TTL, Source: h.Source, Network: h.Network,
			Cached: h.Cached, Stale: h.Stale, Agree: h.Agree, Answered: h.Answered,
		}
		if h.Record != nil {
			hop.Sequence, hop.EOL = &h.Sequence, &h.EOL
		}
		for _, road := range routing.Roads {
			if agree, answered := h.On(road); answered > 0 {
				hop.Roads = append(hop.Roads, api.ResolvedRoad{Road: road, Agree: agree, Answered: answered})
			}
		}
		out.Hops = append(out.Hops, hop)
	}
	return out
}

func (n *verbs) resolveOptions(ctx context.Context, req api.ResolveRequest) (path string, o resolver.Options, err error) {
	if req.Timeout < 0 {
		return "", o, errors.New("DHT timeout value must be >= 0")
	}
	path = req.Name
	if path == "" {
		path = n.Name.String()
	}
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "/ipns/") {
		return "", o, fmt.Errorf("%q is not an IPNS name", path)
	}
	o = resolver.Options{OneHop: !req.Recursive, NoCache: req.NoCache, Again: true, Timeout: req.Timeout, Offline: n.offline(ctx), MinSequence: req.MinSequence}
	if req.Timeout == 0 {
		o.Timeout = -1
	}
	if req.NoCache {
		// A user who bypasses the cache wants an answer on which servers agree.
		o.Confidence = resolver.All
		if req.RecordCount > 0 {
			o.Confidence = resolver.Confidence(req.RecordCount)
		}
	}
	return path, o, nil
}

// offline reports whether a request must be answered from local data.
func (n *verbs) offline(ctx context.Context) bool { return n.Host == nil || rpc.IsOffline(ctx) }

// resolve resolves a path that begins with /ipns/.
func (n *verbs) resolve(ctx context.Context, path string) (string, error) {
	res, err := n.Resolver.Resolve(ctx, path, resolver.Options{Again: true, Offline: n.offline(ctx)})
	return res.Path, err
}

// nameGet implements the command.
func (n *verbs) nameGet(ctx context.Context, req api.NameGetRequest) (rpc.Stream, error) {
	name, err := parseName(req.Name)
	if err != nil {
		err = fmt.Errorf("invalid IPNS name: %w", err)
	}
	var rec *ipns.Record
	if err == nil {
		rec, err = n.record(ctx, name)
	}
	if err != nil && n.offline(ctx) {
		err = api.ErrOffline // on a network there may be another answer
	}
	if err != nil {
		return rpc.Stream{}, err
	}
	raw := rec.Raw()
	return rpc.Stream{ReadCloser: bytesReader(raw), Type: ipns.RecordMediaType, Size: int64(len(raw))}, nil
}

// record returns the newest record of a name.
func (n *verbs) record(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	hop, err := n.Resolver.Lookup(ctx, name, resolver.Options{Again: true, Offline: n.offline(ctx)})
	if errors.Is(err, resolver.ErrNotFound) {
		return nil, errors.New("routing: not found")
	}
	return hop.Record, away(err)
}

// parseName parses a name, with or without ipns:// in front.
func parseName(text string) (ipns.Name, error) {
	if scheme, rest, ok := strings.Cut(text, ":"); ok && strings.EqualFold(scheme, "ipns") {
		text = strings.TrimPrefix(rest, "//")
	}
	return ipns.ParseName(text)
}
