package resolver

import (
	"context"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// heldLimit bounds the search of Held.
const heldLimit = 10 * time.Second

// Held is a summary of the records of a name that servers hold, or HTTP routers where
// there is no DHT.
type Held struct {
	routing.Spread
	Newest *ipns.Record // nil: nobody has one
	// Besides are the answers from other roads; at most maxSources.
	Besides []routing.Answer
	Err     error // why the summary may be incomplete
}

// Held searches the network for all records of a name, bypassing the cache. It passes
// the newest to the Book; the error is that of the Book.
func (r *Resolver) Held(ctx context.Context, name ipns.Name) (h Held, err error) {
	if r.Router == nil {
		return Held{Err: routing.ErrNoTargets}, nil
	}
	within, cancel := context.WithTimeout(ctx, heldLimit)
	defer cancel()
	r.start()
	var found []*ipns.Record
	for a, err := range r.Router.Search(within, name) {
		if err != nil {
			h.Err = err
			break
		}
		if a.Own {
			continue // this node's own server does not count
		}
		switch {
		case roadIndex(a.Road) == int(r.measure):
			found = append(found, a.Record)
		case len(h.Besides) < maxSources:
			h.Besides = append(h.Besides, a)
		}
		if a.Record != nil && (h.Newest == nil || ipns.Compare(a.Record, h.Newest) > 0) {
			h.Newest = a.Record
		}
	}
	for _, rec := range found {
		h.Count(rec, h.Newest)
	}
	if h.Newest != nil {
		_, err = r.Book.Take(ctx, h.Newest, names.Entrance{Origin: recordstore.Seen})
	}
	return h, err
}
