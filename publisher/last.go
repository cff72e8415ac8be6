package publisher

import (
	"context"
	"errors"
	"fmt"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// last returns the entry from which the next record can be made. If its last sequence
// is unknown, the network is searched; if that is not conclusive, the publish is
// refused unless the request overrides it: reusing a sequence would fork the name, and
// a lower one would be ignored.
func (p *Publisher) last(ctx context.Context, name ipns.Name, req Request) (e recordstore.Entry, warning string, err error) {
	if err := p.pass(stepRead); err != nil {
		return e, "", err
	}
	e, err = p.Book.Get(ctx, name)
	if errors.Is(err, recordstore.ErrNotFound) {
		e, err = recordstore.Entry{Name: name}, nil
	}
	if err != nil {
		return e, "", err
	}
	if e.Version == 0 {
		// A sequence that was merely seen counts as used.
		mark, err := p.Book.Seen(ctx, name)
		if err != nil {
			return e, "", err
		}
		if !mark.IsZero() {
			e.Mark, e.Next = mark, following(mark.Sequence)
		}
	}
	known, err := p.Book.Known(ctx, e)
	if err == nil && known && req.OnRival == RivalStop {
		e, err = p.look(ctx, e, req)
	}
	if err != nil || known {
		return e, "", err
	}
	found, err := p.search(ctx, name, req.Via)
	if err == nil {
		if found {
			if e, err = p.Book.Get(ctx, name); err != nil {
				return e, "", err
			}
		}
		e, err = p.Book.Confirmed(ctx, e)
		return e, "", err
	}
	if ctx.Err() != nil {
		return e, "", ctx.Err()
	}
	if !req.Force && req.Sequence == nil {
		return e, "", fmt.Errorf("%w: %w; try again later, name a sequence above all that were used, or force it", ErrUnknownSequence, err)
	}
	p.log().Warn("publishing though the last sequence is unknown", "name", name.String(), "reason", err.Error())
	if found {
		if e, err = p.Book.Get(ctx, name); err != nil {
			return e, "", err
		}
	}
	warning = fmt.Sprintf("the last sequence is unknown (%v): a newer record may exist", err)
	if req.Sequence != nil {
		// A user who gives the sequence vouches that it is above all used ones; Force
		// does not imply that.
		e, err = p.Book.Confirmed(ctx, e)
		return e, warning, err
	}
	return e, warning, nil
}

// search searches the network for the newest record of the name and enters it into
// the Book. If it returns no error, no newer record exists.
func (p *Publisher) search(ctx context.Context, name ipns.Name, via routing.Router) (found bool, err error) {
	best, err := p.find(ctx, name, via)
	if err2 := p.takeOwn(ctx, best); err2 != nil {
		err = errors.Join(err, err2)
	}
	return best != nil, err
}

// find returns the newest record of the name on the network, or nil. If it returns no
// error, no newer record exists.
func (p *Publisher) find(ctx context.Context, name ipns.Name, via routing.Router) (best *ipns.Record, err error) {
	router := p.router(via)
	if router == nil {
		return nil, routing.ErrNoTargets
	}
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	for a, err := range router.Search(ctx, name) {
		if err != nil {
			return best, err
		}
		if a.Record != nil && (best == nil || ipns.Compare(a.Record, best) > 0) {
			best = a.Record
		}
	}
	return best, nil
}

func (p *Publisher) takeOwn(ctx context.Context, rec *ipns.Record) error {
	if rec == nil {
		return nil
	}
	_, err := p.Book.Take(context.WithoutCancel(ctx), rec, names.Entrance{Origin: recordstore.Own})
	return err
}
