package names

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

func (b *Book) notes() recordstore.Notes {
	if b.Notes == nil {
		return b.Store.(recordstore.Notes)
	}
	return b.Notes
}

func (b *Book) marks() recordstore.Marks {
	if b.Marks == nil {
		return b.Store.(recordstore.Marks)
	}
	return b.Marks
}

// Scan yields the entries of own and hosted names in a region, in the order of their
// Kademlia ids.
func (b *Book) Scan(ctx context.Context, region recordstore.Region) iter.Seq2[recordstore.Entry, error] {
	return b.Store.Scan(ctx, region)
}

// Due yields the entries in a region that have a record and whose upkeep is due
// before the given time or was never noted.
func (b *Book) Due(ctx context.Context, region recordstore.Region, before time.Time) iter.Seq2[recordstore.Work, error] {
	return b.Store.Due(ctx, region, before)
}

// History yields the kept versions of a name, newest first.
func (b *Book) History(ctx context.Context, name ipns.Name) iter.Seq2[recordstore.Past, error] {
	return b.Store.History(ctx, name)
}

// Watch yields the own and hosted names that change after a position, whoever
// changes them, and waits for more until ctx ends. Each comes with its newest entry:
// a slow reader may miss versions but never a name. If names are given, only their
// changes are yielded.
//
// A Change's position can be saved to resume from after a restart or a crash, unless
// the store was restored from a copy, which is recordstore.ErrGap. Starting from the
// empty position, the first Change holds only a position: reading all entries after
// it, and then the changes, misses nothing.
func (b *Book) Watch(ctx context.Context, since recordstore.Position, names ...ipns.Name) iter.Seq2[recordstore.Change, error] {
	var only map[ipns.Name]bool
	if len(names) > 0 {
		only = map[ipns.Name]bool{{}: true} // the zero name: a Change with only a position
		for _, n := range names {
			only[n] = true
		}
	}
	return func(yield func(recordstore.Change, error) bool) {
		for c, err := range b.Store.Changes(ctx, since) {
			if err == nil && only != nil && !only[c.Entry.Name] {
				continue
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// Note stores the upkeep of names. The last write wins, and a crash may lose those
// after the last Sync.
func (b *Book) Note(ctx context.Context, notes ...recordstore.Upkeep) error {
	return b.notes().SetUpkeep(ctx, notes...)
}

// Upkeep returns what was last noted about a name.
func (b *Book) Upkeep(ctx context.Context, name ipns.Name) (recordstore.Upkeep, error) {
	return b.notes().Upkeep(ctx, name)
}

// Forget removes a hosted name from the Book, while a lease is current if one is given. Its mark is kept, as that of a seen
// name. It returns recordstore.ErrConflict if the entry has changed since it was
// read.
func (b *Book) Forget(ctx context.Context, e recordstore.Entry, lease recordstore.Lease) error {
	// The mark is written first: a crash in between leaves mark and entry.
	b.keepMark(e.Name, e.Mark)
	err := b.writeSeen(ctx)
	if err == nil {
		_, err = b.swap(ctx, recordstore.Entry{Name: e.Name, Origin: recordstore.Seen, Version: e.Version}, Change{}, lease)
	}
	if err != nil {
		return fmt.Errorf("forget %s: %w", e.Name, err)
	}
	if b.Forgotten != nil {
		b.Forgotten(context.WithoutCancel(ctx), e.Name)
	}
	return nil
}
