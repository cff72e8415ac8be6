package resolver

import (
	"context"
	"errors"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
)

// atLeast is Lookup for Options.MinSequence: from the cache, the store, the network, or by
// waiting for what another daemon, or somebody else, is about to tell.
func (r *Resolver) atLeast(ctx context.Context, name ipns.Name, opt Options) (Hop, error) {
	came := make(chan struct{}, 1)
	defer r.Book.Subscribe(func(c names.Change) {
		if c.Entry.Name == name && c.Entry.Record != nil && c.Entry.Record.Sequence() >= opt.MinSequence {
			select {
			case came <- struct{}{}:
			default:
			}
		}
	})()
	behind := &BehindError{Name: name, Least: opt.MinSequence, None: true}
	good := func(hop Hop, err error) bool {
		if err == nil && (behind.None || hop.Sequence > behind.Have) {
			behind.Have, behind.None = hop.Sequence, false
		}
		if behind.Err = err; errors.Is(err, ErrNotFound) {
			behind.Err = nil
		}
		return err == nil && hop.Sequence >= opt.MinSequence
	}
	if hop, ok := r.cached(name); ok && good(hop, nil) {
		return hop, nil
	}
	network := !opt.Offline && r.Router != nil
	for first := true; ; first = false {
		// The store may know more than the cache, which hears of what others swap.
		if hop, err := r.reread(ctx, name); err == nil && good(hop, nil) {
			return hop, nil
		}
		if first && network {
			if hop, err := r.Lookup(ctx, name, opt); good(hop, err) {
				return hop, nil
			}
			opt.NoCache, opt.Confidence = true, All
			if hop, err := r.Lookup(ctx, name, opt); good(hop, err) {
				return hop, nil
			}
		}
		if !network && !r.Book.Shared() {
			return Hop{}, behind
		}
		select {
		case <-came:
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, errTimeout) {
				return Hop{}, cause
			}
			return Hop{}, behind
		}
	}
}

// cached answers from the cache, within the TTL.
func (r *Resolver) cached(name ipns.Name) (Hop, bool) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.cache.get(name)
	if !ok || !known.valid(now) || !r.fresh(&known, now) {
		return Hop{}, false
	}
	hop := known.hop(now)
	hop.Cached, hop.final, hop.last = true, true, true
	r.stats.shown(hop)
	return hop, true
}

// reread answers from the store, and refreshes the cache by it.
func (r *Resolver) reread(ctx context.Context, name ipns.Name) (Hop, error) {
	held, _, err := r.recallSoon(ctx, name)
	if err != nil {
		return Hop{}, err
	}
	now := r.now()
	if !held.valid(now) {
		return Hop{}, errOffline
	}
	r.mu.Lock()
	r.refresh(name, held)
	r.mu.Unlock()
	hop := held.hop(now)
	hop.final, hop.last = true, true
	return hop, nil
}
