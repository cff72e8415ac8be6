package resolver

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/tracing"
)

// walk resolves a path hop by hop. With stream it yields every better answer of every
// hop, otherwise only the last.
func (r *Resolver) walk(ctx context.Context, path string, opt Options, stream bool) iter.Seq2[Resolution, error] {
	return func(yield func(Resolution, error) bool) {
		r.start()
		start, err := ParsePath(path)
		if err != nil {
			yield(Resolution{}, err)
			return
		}
		ctx, cancel := opt.limit(ctx)
		defer cancel()
		ctx, end := tracing.Begin(ctx, tracing.Resolve, tracing.Path(path), "")
		w := walker{r: r, opt: opt, yield: yield}
		if err = w.step(ctx, start, nil, stream); errors.Is(err, errEnough) {
			err = nil
		}
		end(err)
		if err != nil {
			yield(Resolution{}, err)
		}
	}
}

// errEnough says that the caller stopped the iteration.
var errEnough = errors.New("enough")

type walker struct {
	r     *Resolver
	opt   Options
	yield func(Resolution, error) bool
}

// step resolves the root of a mutable path and continues with the result until the path
// is immutable.
func (w *walker) step(ctx context.Context, path string, before []Hop, stream bool) error {
	root, rest := split(path)
	if err := w.r.denied(path); err != nil {
		return err
	}
	if len(before) >= MaxDepth {
		return fmt.Errorf("%w: more than %d lookups", ErrRecursion, MaxDepth)
	}
	for hop, err := range w.hop(ctx, root, before, stream) {
		if err != nil {
			return err
		}
		if slices.ContainsFunc(before, func(b Hop) bool { return b.Root == hop.Root }) {
			return fmt.Errorf("%w: %s leads to itself", ErrRecursion, hop.Root)
		}
		next, err := appendRest(hop, rest)
		hops := append(slices.Clip(before), hop)
		switch {
		case err != nil:
		case w.opt.OneHop || !mutable(next):
			if !w.yield(w.r.resolution(next, hops), nil) {
				return errEnough
			}
		default:
			// For an early answer resolve the next hop only once; a later answer
			// resolves it again.
			err = w.step(ctx, next, hops, stream && hop.last)
		}
		if hop.last || errors.Is(err, errEnough) {
			return err
		}
		// Ignore err for an answer that is not the last: the next may lead elsewhere.
	}
	return nil
}

// hop looks up one root.
func (w *walker) hop(ctx context.Context, root string, before []Hop, stream bool) iter.Seq2[Hop, error] {
	name, domain, err := parseRoot(root)
	one := func(hop Hop, err error) iter.Seq2[Hop, error] {
		hop.final, hop.last = true, true
		return func(yield func(Hop, error) bool) { yield(hop, err) }
	}
	if err != nil {
		return one(Hop{}, err)
	}
	key := domain
	if domain == "" {
		key = name.String()
	}
	if value, ok := w.r.static[key]; ok {
		return one(Hop{Root: key, Value: value, Source: staticSource}, nil)
	}
	if domain != "" {
		return one(w.r.lookupLink(ctx, domain, w.opt))
	}
	if w.opt.MinSequence > 0 && !slices.ContainsFunc(before, func(b Hop) bool { return b.Record != nil }) {
		return one(w.r.atLeast(ctx, name, w.opt))
	}
	return w.r.lookup(ctx, name, w.opt, stream)
}

// resolution returns the Resolution for a path and the hops that led to it.
func (r *Resolver) resolution(path string, hops []Hop) Resolution {
	res := Resolution{Path: path, Hops: hops, Final: true}
	res.Silent, _ = r.Book.Silent()
	ttlKnown := false
	for _, h := range hops {
		res.Final = res.Final && h.final
		if h.modified.After(res.LastModified) {
			res.LastModified = h.modified
		}
		if h.ttlKnown && (!ttlKnown || h.TTL < res.TTL) {
			res.TTL, ttlKnown = h.TTL, true
		}
	}
	return res
}

// EOL returns the earliest EOL of the records among the hops; zero if there are none.
func (res Resolution) EOL() time.Time {
	var eol time.Time
	for _, h := range res.Hops {
		if h.Record != nil && (eol.IsZero() || h.EOL.Before(eol)) {
			eol = h.EOL
		}
	}
	return eol
}

// mutable reports whether a path can change its meaning.
func mutable(path string) bool { return strings.HasPrefix(path, namespace) }

func (r *Resolver) denied(path string) error {
	if r.Deny == nil {
		return nil
	}
	return r.Deny(path)
}
