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

// Due yields those of them that have a record and are to be announced before the
// given time, or never were.
func (b *Book) Due(ctx context.Context, region recordstore.Region, before time.Time) iter.Seq2[recordstore.Work, error] {
	return b.Store.Due(ctx, region, before)
}

// History yields the kept versions of a name, newest first.
func (b *Book) History(ctx context.Context, name ipns.Name) iter.Seq2[recordstore.Past, error] {
	return b.Store.History(ctx, name)
}

// Watch yields own and hosted names that change after a position, whoever changes
// them, and waits for more until ctx ends: each with its newest entry, so that a slow
// reader may miss versions and never a name. If names are given, it yields only
// theirs. The position of a Change can be kept, and is good for going on after a
// restart or a crash; recordstore.ErrGap says that it is not, since the store was
// restored from a copy. From the empty position on, the first Change is the position
// alone: what is read after it, and the changes after it, are everything.
func (b *Book) Watch(ctx context.Context, since recordstore.Position, names ...ipns.Name) iter.Seq2[recordstore.Change, error] {
	var only map[ipns.Name]bool
	if len(names) > 0 {
		only = map[ipns.Name]bool{{}: true} // no name: the position alone
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

// Note keeps bookkeeping about names: the last write wins, and a crash may lose what
// was noted after the last Sync.
func (b *Book) Note(ctx context.Context, notes ...recordstore.Upkeep) error {
	return b.notes().SetUpkeep(ctx, notes...)
}

// Upkeep returns what was last noted about a name.
func (b *Book) Upkeep(ctx context.Context, name ipns.Name) (recordstore.Upkeep, error) {
	return b.notes().Upkeep(ctx, name)
}

// Forget takes a name of somebody else out of the Book. Its mark stays, as that of a
// merely seen name. recordstore.ErrConflict says that the entry has changed since it
// was read.
func (b *Book) Forget(ctx context.Context, e recordstore.Entry) error {
	// The mark first: a crash in between leaves both.
	b.keepMark(e.Name, e.Mark)
	err := b.writeSeen(ctx)
	if err == nil {
		_, err = b.swap(ctx, recordstore.Entry{Name: e.Name, Origin: recordstore.Seen, Version: e.Version}, Change{})
	}
	if err != nil {
		return fmt.Errorf("forget %s: %w", e.Name, err)
	}
	return nil
}
