package verbs

import (
	"context"
	"errors"
	"iter"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/rpc"
	"github.com/goipns/ipns/watch"
)

func (n *verbs) handleWatch(m *rpc.Mux) {
	rpc.Handle(m, api.NameWatch, n.nameWatch)
}

// nameWatch implements the command.
func (n *verbs) nameWatch(ctx context.Context, req api.WatchRequest) iter.Seq2[api.Changed, error] {
	return func(yield func(api.Changed, error) bool) {
		var of []ipns.Name
		for _, text := range req.Names {
			name, err := n.nameArgument(ctx, text)
			if err != nil {
				yield(api.Changed{}, err)
				return
			}
			of = append(of, name)
		}
		whole := ctx
		if req.For > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, req.For)
			defer cancel()
		}
		for event, err := range n.Watched.Read(ctx, watch.Request{Since: recordstore.Position(req.Since), Names: of}) {
			var c api.Changed
			if err == nil {
				c, err = n.changed(ctx, event)
			}
			if errors.Is(err, context.DeadlineExceeded) && whole.Err() == nil {
				return // it was For that ended
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// changed describes an event.
func (n *verbs) changed(ctx context.Context, e watch.Event) (api.Changed, error) {
	c := api.Changed{Position: string(e.Position), Gap: e.Gap}
	if e.Entry.Name.IsZero() {
		return c, nil
	}
	c.Name = e.Entry.Name.String()
	if e.Kind&watch.Changed == 0 {
		c.Event = e.Kind.String()
	}
	if e.Entry.Record == nil {
		return c, nil
	}
	s, err := n.status(ctx, e.Entry)
	c.Status = &s
	return c, err
}
