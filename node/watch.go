package node

import (
	"context"
	"fmt"
	"iter"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/follow"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/watch"
)

// openWatch makes what gives names to readers as they change.
func (n *Node) openWatch() {
	n.Watched = &watch.Names{Book: n.Book, Stopping: n.stopping}
	n.Webhooks = &watch.Webhooks{Names: n.Watched, Rows: n.Records.Rows(), Log: n.Log, Agent: n.Agent}
	if n.Router != nil {
		n.Watched.Search = n.search
	}
	if n.Pubsub != nil {
		n.Watched.Listen = n.listen
	}
}

// openFollows makes what follows names of others, and says that their content is no garbage.
func (n *Node) openFollows() {
	n.Follows = &follow.Follower{Names: n.Watched, Book: n.Book, Rows: n.Records.Rows(), Content: n.Content, Log: n.Log}
	others := n.Garbage.Needed
	n.Garbage.Needed = func(ctx context.Context) iter.Seq2[cid.Cid, error] {
		return func(yield func(cid.Cid, error) bool) {
			more := true
			each := func(c cid.Cid, err error) bool {
				more = yield(c, err)
				return more && err == nil
			}
			if others(ctx)(each); more {
				n.Follows.Roots(ctx)(each)
			}
		}
	}
}

// search asks the networks for a name that somebody watches.
func (n *Node) search(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	hop, err := n.Resolver.Lookup(ctx, name, resolver.Options{NoCache: true, Confidence: resolver.All})
	return hop.Record, err
}

// listen keeps a name hot, so that its records come into the Book as they are published.
func (n *Node) listen(ctx context.Context, name ipns.Name) {
	for _, err := range n.Pubsub.Watch(ctx, name) {
		if err != nil && ctx.Err() == nil {
			n.Log.Debug("not listening any more", "name", fmt.Sprint(name), "err", err)
		}
	}
}
