package garbage

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/recordstore"
)

const (
	// Values is how many values of a name are kept if nothing else is said.
	Values = 3
	// underWay is how long a tree stays that was pinned to be published: so long a publish may take to begin.
	underWay = time.Hour
)

// Keep pins what a record that was stored leads to, and remembers how many values of its name are to be kept; 0: as
// many as so far. It then does what [Collector.Retain] does.
func (c *Collector) Keep(ctx context.Context, rec *ipns.Record, values int) error {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	if root, ok := rootOf(rec); ok {
		if err := c.Content.KeepTree(ctx, root, rec.Name().String()); err != nil {
			return err
		}
	}
	if values > 0 {
		if err := c.Content.SetKeep(ctx, rec.Name().String(), values); err != nil {
			return err
		}
	}
	return c.retain(ctx)
}

// Retain removes pins that were made to keep values of own names, once these are no longer kept: neither the name has
// the value, nor is it one of the last, nor may others still be given its record, because its TTL has not passed since
// it was replaced, or its EOL. Pins by hand stay, and so do those of names that are not own ones; all do
// if the entry of an own name cannot be read.
func (c *Collector) Retain(ctx context.Context) error {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	return c.retain(ctx)
}

func (c *Collector) retain(ctx context.Context) error {
	var pins []content.Pin
	for p, err := range c.Content.Pins(ctx, content.Recursive) {
		if err != nil {
			return err
		}
		if _, ok := p.KeptBy(); ok {
			pins = append(pins, p)
		}
	}
	if len(pins) == 0 {
		return nil
	}
	own, wanted, err := c.wanted(ctx)
	if err != nil {
		return err
	}
	for _, p := range pins {
		name, _ := p.KeptBy()
		if !own[name] || wanted[p.CID] {
			continue
		}
		gone, err := c.Content.UnpinKept(ctx, p.CID, c.now().Add(-underWay))
		if err != nil {
			return err
		}
		if gone {
			c.Log.Info("a value is no longer kept", "cid", p.CID, "name", name)
		}
	}
	return nil
}

// Release does what [Collector.Retain] does, and deletes what is then needed for nothing of the values that are no longer
// kept, and nothing else. So a folder that changes each day does not fill the disk, even if there is much space.
func (c *Collector) Release(ctx context.Context) error {
	if err := c.Retain(ctx); err != nil {
		return err
	}
	trees, err := c.Content.Released(ctx)
	if err != nil {
		return err
	}
	for root, since := range trees {
		if c.now().Sub(since) < underWay {
			delete(trees, root)
		}
	}
	for root, err := range c.named(ctx) { // their time will come
		if err != nil {
			return err
		}
		delete(trees, root)
	}
	if len(trees) == 0 {
		return nil
	}
	removed := 0
	for g := range c.Content.CollectTrees(ctx, trees, c.named(ctx)) {
		if g.Err != nil {
			err = g.Err // the last one sums up
		} else {
			removed++
		}
	}
	c.Log.Info("values that are no longer kept were deleted", "values", len(trees), "blocks", removed)
	return err
}

// wanted returns the own names, and the roots of the values that are kept.
func (c *Collector) wanted(ctx context.Context) (own map[string]bool, wanted map[cid.Cid]bool, err error) {
	own, wanted = map[string]bool{}, map[cid.Cid]bool{}
	for e, err := range c.Book.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			return nil, nil, err
		}
		if e.Origin != recordstore.Own {
			continue
		}
		if e.Damaged {
			return nil, nil, fmt.Errorf("the entry of %s is damaged: %w", e.Name, errDamaged)
		}
		values, err := c.values(ctx, e.Name)
		if err != nil {
			return nil, nil, err
		}
		own[e.Name.String()] = true
		recs := append([]*ipns.Record{e.Record, e.Rival, e.Pending}, e.Staged...)
		for _, rec := range append(recs, e.Rivals...) {
			if root, ok := rootOf(rec); ok {
				wanted[root] = true
			}
		}
		for root, err := range kept(c.Book.History(ctx, e.Name), values, c.now()) {
			if err != nil {
				return nil, nil, err
			}
			wanted[root] = true
		}
	}
	return own, wanted, nil
}

func (c *Collector) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// values returns how many values of a name are kept.
func (c *Collector) values(ctx context.Context, name ipns.Name) (int, error) {
	n, ok, err := c.Content.Keep(ctx, name.String())
	if err != nil || ok {
		return n, err
	}
	if c.Values > 0 {
		return c.Values, nil
	}
	return Values, nil
}

// kept yields the roots of values that are kept, of versions of a name that come newest first: the last n, and those
// that others may still be given.
func kept(history iter.Seq2[recordstore.Past, error], n int, now time.Time) iter.Seq2[cid.Cid, error] {
	return func(yield func(cid.Cid, error) bool) {
		last := map[cid.Cid]bool{}
		var replaced time.Time // when the version at hand was; zero: it is the newest
		for past, err := range history {
			if err != nil {
				yield(cid.Undef, err)
				return
			}
			root, ok := rootOf(past.Record)
			if ok && len(last) < n {
				last[root] = true
			}
			given := replaced.IsZero() || !now.After(replaced.Add(past.Record.TTL())) || !now.After(past.Record.EOL())
			if ok && (last[root] || given) && !yield(root, nil) {
				return
			}
			replaced = past.At
		}
	}
}
