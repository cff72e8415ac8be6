package resolver

import (
	"context"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// heldLimit bounds how long Held asks the network.
const heldLimit = 10 * time.Second

// Held is what the servers of a network have of a name.
type Held struct {
	routing.Spread
	Newest *ipns.Record // nil: nobody has any
	Err    error        // why there may be more
}

// Held asks all other servers of the network what they have of a name, past the
// cache. The newest record enters the Book: the error says that it did not.
func (r *Resolver) Held(ctx context.Context, name ipns.Name) (h Held, err error) {
	if r.Router == nil {
		return Held{Err: routing.ErrNoTargets}, nil
	}
	within, cancel := context.WithTimeout(ctx, heldLimit)
	defer cancel()
	var found []*ipns.Record
	for a, err := range r.Router.Search(within, name) {
		if err != nil {
			h.Err = err
			break
		}
		if a.Own {
			continue // what this node's own server has says nothing of the others
		}
		found = append(found, a.Record)
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
