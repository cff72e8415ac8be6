package contender

import (
	"context"
	"errors"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing"
)

// As in package republisher, which does not show them.
const (
	sectorBits = 6      // of the key space: names of one sector are put together,
	batchSize  = 16_384 // so many at once
)

// republishStored puts what the store says is due, as package republisher does:
// one sector after the other, in batches.
func (c *oursClient) republishStored(ctx context.Context) error {
	for sector := range 1 << sectorBits {
		region := keyspace.RegionOf(keyspace.Key{byte(sector << (8 - sectorBits))}, sectorBits)
		var list []recordstore.Work
		for w, err := range c.store.Due(ctx, region, time.Now()) {
			if err != nil {
				return err
			}
			if list = append(list, w); len(list) < batchSize {
				continue
			}
			if err := c.putBatch(ctx, region, list); err != nil {
				return err
			}
			list = nil
		}
		if err := c.putBatch(ctx, region, list); err != nil {
			return err
		}
	}
	return nil
}

// putBatch puts the names and notes what became of them. Each is read again just
// before it is put, and before that is noted.
func (c *oursClient) putBatch(ctx context.Context, region keyspace.Region, list []recordstore.Work) error {
	if len(list) == 0 {
		return nil
	}
	receipts := make(map[ipns.Name]*routing.Receipt, len(list))
	var unread error
	records := func(yield func(*ipns.Record) bool) {
		for _, w := range list {
			e, err := c.store.Get(ctx, w.Entry.Name)
			if err != nil {
				unread = err
				return
			}
			receipts[e.Name] = new(routing.Receipt)
			if !yield(e.Record) {
				return
			}
		}
	}
	for ack, err := range c.router.Sweep(ctx, region, records) {
		if err != nil {
			return errors.Join(unread, err)
		}
		receipts[ack.Name].Add(ack)
	}
	if unread != nil {
		return unread
	}
	notes := make([]recordstore.Upkeep, 0, len(list))
	for _, w := range list {
		e, err := c.store.Get(ctx, w.Entry.Name)
		if err != nil {
			return err
		}
		notes = append(notes, note(e, *receipts[e.Name]))
	}
	if err := c.store.SetUpkeep(ctx, notes...); err != nil {
		return err
	}
	return c.store.Sync(ctx)
}

// note is what is kept of a put: of the receipt, the figures.
func note(e recordstore.Entry, receipt routing.Receipt) recordstore.Upkeep {
	now := time.Now()
	u := recordstore.Upkeep{Name: e.Name, Due: now.Add(republisher.DefaultOwnPeriod), LastPut: now, Announced: e.Record.Hash()}
	u.Holders, _ = receipt.Announced()
	u.Receipt = receipt.Figures()
	return u
}
