package routing

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/goipns/ipns"
)

// Bounded is a Router with limits, as one of several in a [Parallel] or [Tiered].
type Bounded struct {
	Router
	After   time.Duration // it is left alone for so long at first
	Timeout time.Duration // it is heard for so long; 0: to its end
	// IgnoreErrors makes a failure the same as having nobody to ask, which is no word on
	// what exists.
	IgnoreErrors bool
}

// Road implements Roader.
func (b Bounded) Road() Road { return RoadOf(b.Router) }

// Put implements Router.
func (b Bounded) Put(ctx context.Context, rec *ipns.Record, look Look) iter.Seq2[Ack, error] {
	return bound(ctx, b, func(ctx context.Context) iter.Seq2[Ack, error] { return b.Router.Put(ctx, rec, look) })
}

// Search implements Router.
func (b Bounded) Search(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error] {
	return bound(ctx, b, func(ctx context.Context) iter.Seq2[Answer, error] { return b.Router.Search(ctx, name) })
}

func bound[T any](ctx context.Context, b Bounded, do func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if b.After > 0 {
			timer := time.NewTimer(b.After)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				yield(zero, context.Cause(ctx))
				return
			}
		}
		within := ctx
		if b.Timeout > 0 {
			var cancel context.CancelFunc
			within, cancel = context.WithTimeout(ctx, b.Timeout)
			defer cancel()
		}
		for v, err := range do(within) {
			switch {
			case err == nil:
				if !yield(v, nil) {
					return
				}
				continue
			case ctx.Err() != nil:
				err = context.Cause(ctx)
			case b.IgnoreErrors:
				err = ErrNoTargets
			case within.Err() != nil:
				err = fmt.Errorf("no answer within %s", b.Timeout)
			}
			yield(zero, err)
			return
		}
	}
}

// Split puts by one Router and searches by another.
type Split struct{ Putter, Searcher Router }

// Road implements Roader: it is that by which a put is measured.
func (s Split) Road() Road { return RoadOf(s.Putter) }

// Put implements Router.
func (s Split) Put(ctx context.Context, rec *ipns.Record, look Look) iter.Seq2[Ack, error] {
	return s.Putter.Put(ctx, rec, look)
}

// Search implements Router.
func (s Split) Search(ctx context.Context, name ipns.Name) iter.Seq2[Answer, error] {
	return s.Searcher.Search(ctx, name)
}
