// Package garbage deletes blocks that nothing needs, when it is asked to or, above a limit, by itself.
//
// Invariant: no block is deleted that is pinned, that an add in progress has stored, or that belongs to the tree of a
// value of an own name: its record, one that waits to be signed again, or one that was replaced
// less than [Recent] ago and not let go by hand; nor one of the tree of a value that was signed in advance, of any name.
// If the entry of an own name, or what was signed in advance, cannot be read, nothing is deleted.
package garbage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// Recent is how long after it was replaced a value of a name is kept: for as long as others may still be given it.
const Recent = 48 * time.Hour

// Collector collects the garbage of a node.
type Collector struct {
	Content *content.Store
	Book    *names.Book
	Log     *slog.Logger
	// Values is how many values of an own name are kept, if nothing else was said of it; 0: [Values].
	Values int
	// Now returns the current time, by which values are kept; nil: time.Now.
	Now func() time.Time
	// Period is the time between two looks at the size of the store; 0: [Collector.Run] does nothing.
	Period time.Duration
	// Above is the size, in bytes, above which a look collects garbage.
	Above uint64
	// CacheMax is how many bytes of blocks from other nodes, which nothing needs, stay when a look collects: those used
	// last. Above it, a look deletes the rest of them, and nothing else. 0: any number stays.
	CacheMax uint64
	// Ahead yields records that were signed in advance, of any name; nil: there are none.
	Ahead func(context.Context) iter.Seq2[*ipns.Record, error]
	// Needed yields the roots of what is kept for others, whether or not it is pinned; nil: there is none.
	Needed func(context.Context) iter.Seq2[cid.Cid, error]

	keeping sync.Mutex // held while pins are made and removed that keep values
}

// Collect deletes what nothing needs. It yields each deleted block, and each error.
func (c *Collector) Collect(ctx context.Context) iter.Seq[content.Garbage] {
	return c.collect(ctx, content.Leave{})
}

func (c *Collector) collect(ctx context.Context, leave content.Leave) iter.Seq[content.Garbage] {
	return func(yield func(content.Garbage) bool) {
		if err := c.Retain(ctx); err != nil && !yield(content.Garbage{Err: err}) {
			return
		}
		for g := range c.Content.Collect(ctx, c.named(ctx), leave) {
			if !yield(g) {
				return
			}
		}
		if err := c.Content.ForgetLetGo(ctx, Recent); err != nil {
			yield(content.Garbage{Err: err})
		}
	}
}

// Run deletes values of names that are no longer kept, and collects garbage whenever the store is too large, or has too
// many blocks from other nodes, until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	for c.Period > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(c.Period):
		case <-c.Content.FetchedMuch():
		}
		if err := c.Release(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("values that are no longer kept take space", "err", err, "again_in", c.Period)
		}
		c.look(ctx)
	}
	return nil
}

// look collects what there is too much of. Above the limit of the store, garbage goes first so that the cache keeps half
// of what it may have, and then all.
func (c *Collector) look(ctx context.Context) {
	before := c.Content.Size()
	if before <= c.Above {
		c.trim(ctx)
		return
	}
	removed, err := c.remove(ctx, content.Leave{Fetched: c.CacheMax / 2})
	if err == nil && c.CacheMax > 1 && c.Content.Size() > c.Above {
		var more int
		more, err = c.remove(ctx, content.Leave{})
		removed += more
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		c.Log.Warn("garbage not collected", "removed", removed, "err", err, "again_in", c.Period)
	case c.Content.Size() > c.Above:
		c.Log.Warn("what is kept is larger than Datastore.StorageMax allows: unpin something", "bytes", c.Content.Size(), "of", c.Above, "removed", removed)
	default:
		c.Log.Info("garbage collected", "removed", removed, "bytes_before", before, "bytes", c.Content.Size())
	}
}

// trim deletes the oldest blocks from other nodes if there are too many.
func (c *Collector) trim(ctx context.Context) {
	if c.CacheMax == 0 {
		return
	}
	fetched, err := c.Content.Fetched(ctx)
	if err == nil && fetched <= c.CacheMax {
		return
	}
	removed := 0
	if err == nil {
		removed, err = c.remove(ctx, content.Leave{Fetched: c.CacheMax / 10 * 9, Rest: true})
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		c.Log.Warn("blocks from other nodes not deleted", "removed", removed, "err", err, "again_in", c.Period)
	default:
		c.Log.Info("the oldest blocks from other nodes deleted", "removed", removed)
	}
}

// remove collects garbage, and returns how many blocks went.
func (c *Collector) remove(ctx context.Context, leave content.Leave) (removed int, err error) {
	for g := range c.collect(ctx, leave) {
		if g.Err != nil {
			err = g.Err // the last one sums up
		} else {
			removed++
		}
	}
	return removed, err
}

// named yields the roots of what own names lead to, or led to until recently, and of what others need.
func (c *Collector) named(ctx context.Context) iter.Seq2[cid.Cid, error] {
	return func(yield func(cid.Cid, error) bool) {
		if c.Needed != nil {
			for root, err := range c.Needed(ctx) {
				if !yield(root, err) || err != nil {
					return
				}
			}
		}
		if c.Ahead != nil {
			for rec, err := range c.Ahead(ctx) {
				if err != nil {
					yield(cid.Undef, fmt.Errorf("find out what was signed in advance: %w", err))
					return
				}
				if root, ok := rootOf(rec); ok && !yield(root, nil) {
					return
				}
			}
		}
		for e, err := range c.Book.Scan(ctx, recordstore.Region{}) {
			var recs []*ipns.Record
			if err == nil && e.Origin == recordstore.Own {
				recs, err = c.recent(ctx, e)
			}
			if err != nil {
				yield(cid.Undef, fmt.Errorf("find out what own names lead to: %w", err))
				return
			}
			for _, rec := range recs {
				if root, ok := rootOf(rec); ok && !yield(root, nil) {
					return
				}
			}
		}
	}
}

// recent returns the records of an entry, and those that were replaced not long ago.
func (c *Collector) recent(ctx context.Context, e recordstore.Entry) ([]*ipns.Record, error) {
	if e.Damaged {
		return nil, fmt.Errorf("the entry of %s is damaged: %w", e.Name, errDamaged)
	}
	recs := append([]*ipns.Record{e.Record, e.Rival, e.Pending}, e.Staged...)
	recs = append(recs, e.Rivals...)
	var replaced time.Time // when the version at hand was; zero: it is the newest
	for past, err := range c.Book.History(ctx, e.Name) {
		if err != nil {
			return nil, err
		}
		if !replaced.IsZero() && c.now().Sub(replaced) > Recent {
			break
		}
		gone, err := c.letGo(ctx, past.Record)
		if err != nil {
			return nil, err
		}
		if replaced.IsZero() || !gone {
			recs = append(recs, past.Record)
		}
		replaced = past.At
	}
	return recs, nil
}

// letGo reports whether what a record leads to was unpinned by hand.
func (c *Collector) letGo(ctx context.Context, rec *ipns.Record) (bool, error) {
	root, ok := rootOf(rec)
	if !ok {
		return false, nil
	}
	return c.Content.WasLetGo(ctx, root)
}

var errDamaged = errors.New("'ipns repo verify --repair' repairs it")

// rootOf returns the block at which the value of a record begins, if it has one.
func rootOf(rec *ipns.Record) (cid.Cid, bool) {
	if rec == nil {
		return cid.Undef, false
	}
	parts := strings.SplitN(rec.Value(), "/", 4)
	if len(parts) < 3 || parts[1] != "ipfs" && parts[1] != "ipld" {
		return cid.Undef, false
	}
	c, err := cid.Decode(parts[2])
	return c, err == nil
}
