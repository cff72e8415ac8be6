package verbs

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleRefs(m *rpc.Mux) {
	rpc.Handle(m, api.Refs, n.refs)
	rpc.Handle(m, api.RefsLocal, func(ctx context.Context, req api.RefsLocalRequest) iter.Seq2[api.Ref, error] {
		return n.blocksHere(ctx, req.CIDBase)
	})
	rpc.Handle(m, api.Resolve, rpc.One(n.resolvePath))
}

// refs implements the command. A tree that cannot be listed to its end is no reason not to list the next.
func (n *verbs) refs(ctx context.Context, req api.RefsRequest) iter.Seq2[api.Ref, error] {
	return func(yield func(api.Ref, error) bool) {
		enc, err1 := req.Encoder()
		format, err2 := req.Layout()
		if err := errors.Join(err1, err2); err != nil {
			yield(api.Ref{}, err)
			return
		}
		var roots []cid.Cid
		for _, text := range req.Paths {
			c, err := n.blockAt(ctx, text)
			if err != nil {
				yield(api.Ref{}, err)
				return
			}
			roots = append(roots, c)
		}
		tree := content.Refs{Unique: req.Unique, Depth: 1}
		if req.Recursive {
			tree.Depth = req.MaxDepth
		}
		for _, root := range roots {
			for r, err := range tree.Of(ctx, n.content(ctx), root) {
				line := api.Ref{Ref: strings.NewReplacer(
					"<src>", enc.Encode(r.From), "<dst>", enc.Encode(r.To), "<linkname>", r.Name).Replace(format)}
				if err != nil {
					line = api.Ref{Err: err.Error()}
				}
				if !yield(line, nil) {
					return
				}
			}
		}
	}
}

// blockAt returns the block in which a path argument ends.
func (n *verbs) blockAt(ctx context.Context, text string) (cid.Cid, error) {
	p, err := n.immutable(ctx, text)
	if err != nil {
		return cid.Undef, err
	}
	c, _, err := n.content(ctx).ResolveInto(ctx, p)
	return c, cause(ctx, err)
}

// blocksHere lists all blocks that are here.
func (n *verbs) blocksHere(ctx context.Context, base api.CIDBase) iter.Seq2[api.Ref, error] {
	return func(yield func(api.Ref, error) bool) {
		enc, err := base.Encoder()
		if err != nil {
			yield(api.Ref{}, err)
			return
		}
		for c, err := range n.Content.Blocks(ctx) {
			if err != nil {
				yield(api.Ref{}, err)
				return
			}
			if !yield(api.Ref{Ref: enc.Encode(c)}, nil) {
				return
			}
		}
	}
}

// noName returns why a text is no name, if that is the error.
func noName(err error) error {
	var all interface{ Unwrap() []error }
	if !errors.Is(err, ipns.ErrName) || !errors.As(err, &all) {
		return err
	}
	causes := all.Unwrap()
	return causes[len(causes)-1]
}

// resolvePath implements the command.
func (n *verbs) resolvePath(ctx context.Context, req api.PathRequest) (api.Resolved, error) {
	p, err := parseContentPath(req.Name)
	if err != nil {
		return api.Resolved{}, err
	}
	isName := strings.HasPrefix(p, "/ipns/")
	if isName && !req.Recursive {
		_, o, err := n.resolveOptions(ctx, api.ResolveRequest{Name: p, Timeout: req.Timeout})
		if err != nil {
			return api.Resolved{}, err
		}
		res, err := n.Resolver.Resolve(ctx, p, o)
		return api.Resolved{Path: res.Path}, away(err)
	}
	enc, err := req.Encoder()
	if !isName {
		enc, err = req.EncoderFor(p)
	}
	if err != nil {
		return api.Resolved{}, err
	}
	if isName {
		_, o, err := n.resolveOptions(ctx, api.ResolveRequest{Name: p, Recursive: true, Timeout: req.Timeout})
		var res resolver.Resolution
		if err == nil {
			res, err = n.Resolver.Resolve(ctx, p, o)
		}
		if err != nil {
			return api.Resolved{}, away(noName(err))
		}
		p = res.Path
	}
	c, rest, err := n.content(ctx).ResolveInto(ctx, p)
	if err != nil {
		return api.Resolved{}, cause(ctx, err)
	}
	namespace, _, _ := strings.Cut(p[1:], "/")
	return api.Resolved{Path: strings.Join(append([]string{"", namespace, enc.Encode(c)}, rest...), "/")}, nil
}
