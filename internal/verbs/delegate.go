package verbs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/delegation"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/rpc"
)

// anchorLife is how long the record of an anchor is valid.
const anchorLife = 365 * 24 * time.Hour

// nameDelegate implements the command.
func (n *verbs) nameDelegate(ctx context.Context, req api.DelegateRequest) iter.Seq2[api.Published, error] {
	return func(yield func(api.Published, error) bool) {
		hot, err := n.nameArgument(ctx, req.Hot)
		if err != nil {
			yield(api.Published{}, fmt.Errorf("the hot name: %w", err))
			return
		}
		anchor, err := n.findKey(ctx, req.Anchor)
		if rpc.HasReason(err, api.ReasonNoKey) {
			err = fmt.Errorf("%w; where it is, sign what 'ipns name request --lifetime=365d ANCHOR %s' writes", err, hot.Path())
		}
		if err == nil && anchor.Name == hot {
			err = fmt.Errorf("%s would lead to itself", hot)
		}
		if err != nil {
			yield(api.Published{}, err)
			return
		}
		publish := api.PublishRequest{
			Path: hot.Path(), Key: req.Anchor, Lifetime: req.Lifetime, TTL: req.TTL, Resolve: req.Resolve,
			AllowOffline: req.AllowOffline, Wait: req.Wait,
		}
		if life := anchorLife; req.Lifetime == nil {
			publish.Lifetime = &life
		}
		for p, err := range n.namePublish(ctx, publish) {
			if err == nil {
				n.keepHot(ctx, hot)
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// keepTarget keeps the name to which a record leads.
func (n *verbs) keepTarget(ctx context.Context, rec *ipns.Record) {
	if hot, ok := delegation.Target(rec.Value()); ok {
		n.keepHot(ctx, hot)
	}
}

// keepHot keeps the name behind an anchor here, so that its end is seen coming. What cannot
// be found now is not kept.
func (n *verbs) keepHot(ctx context.Context, hot ipns.Name) {
	hop, err := n.Resolver.Lookup(ctx, hot, resolver.Options{Offline: n.offline(ctx)})
	if err == nil && hop.Record != nil {
		_, err = n.Book.Take(ctx, hop.Record, names.Entrance{Origin: recordstore.Hosted})
	}
	if err != nil {
		n.Log.Info("the name behind an anchor is not kept here", "name", hot.String(), "err", err)
	}
}

// addFuture adds what lies ahead of a name: its ladder and the names behind it.
func (n *verbs) addFuture(ctx context.Context, e recordstore.Entry, s *api.Status, local bool) error {
	ahead, err := n.Ladders.Status(ctx, e.Name)
	if err != nil {
		return err
	}
	if ahead != nil {
		s.Ladder = ladderStatus(ahead)
		s.Risk = n.Risk(ctx, e)
	}
	find := func(ctx context.Context, name ipns.Name) *ipns.Record {
		hop, err := n.Resolver.Lookup(ctx, name, resolver.Options{Offline: local || n.offline(ctx)})
		if err != nil {
			return nil
		}
		return hop.Record
	}
	hops, err := delegation.Follow(ctx, n.Book, e, find)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, h := range hops {
		d := api.Delegated{Name: h.Name.String(), Key: n.holder(ctx, h.Name), Ends: h.Ends(now), Expired: h.Expired(now)}
		if !h.EOL.IsZero() {
			d.EOL = &h.EOL
		}
		if h.Record != nil {
			d.Value, d.Sequence = h.Record.Value(), h.Record.Sequence()
		}
		s.Chain = append(s.Chain, d)
	}
	return nil
}

// holder says who has the key of a name, as far as is known here.
func (n *verbs) holder(ctx context.Context, name ipns.Name) string {
	key, err := n.Keys.Find(ctx, name.String())
	switch {
	case errors.Is(err, keystore.ErrNotFound):
		return "its key is not here"
	case err != nil:
		return "its key cannot be used: " + err.Error()
	case key.Label == "":
		return "its key is in an agent"
	}
	return "key " + key.Label
}

// checkAnchor refuses to take an anchor back: whoever has the key of a name that it led to
// before would have it again, and that key may be lost or stolen.
func checkAnchor(e recordstore.Entry, value string) error {
	now, isAnchor := delegation.Target(e.Record.Value())
	if !isAnchor {
		return nil
	}
	if to, ok := delegation.Target(value); ok {
		return fmt.Errorf("%s led to %s before, and whoever has that key would have the name again: if it was replaced because it was lost or stolen, it must not come back; --force publishes it all the same", e.Name, to)
	}
	return fmt.Errorf("%s is an anchor that leads to %s, which going back to content would cut off: roll that one back; --force publishes it all the same", e.Name, now)
}
