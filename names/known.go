package names

import (
	"context"
	"fmt"

	"github.com/goipns/ipns/recordstore"
)

// Known reports whether the last sequence of the entry is known, so that no record
// newer than its mark exists.
func (b *Book) Known(ctx context.Context, e recordstore.Entry) (bool, error) {
	gen, err := b.Store.Generation(ctx)
	return err == nil && e.Known == gen, err
}

// Current reports whether the record of the entry may be announced without searching
// the network first: it was entered or confirmed in the current generation of the
// store. After a restore, an entry may be older than what the copy did not contain.
func (b *Book) Current(ctx context.Context, e recordstore.Entry) (bool, error) {
	gen, err := b.Store.Generation(ctx)
	return err == nil && (e.Known == gen || e.Entered == gen), err
}

// Confirm stores, while a lease is current if one is given, that a search found nothing
// above the entry's mark, and returns the updated entry. For an own name the search must have been complete: its next record
// can then be made. The record of a hosted name can then be announced. Confirm
// returns recordstore.ErrConflict if the entry has changed since it was read.
func (b *Book) Confirm(ctx context.Context, e recordstore.Entry, lease recordstore.Lease) (recordstore.Entry, error) {
	gen, err := b.Store.Generation(ctx)
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("confirm %s: %w", e.Name, err)
	}
	if copied(e, gen) {
		e.Pending = nil
	}
	if e.Origin == recordstore.Own {
		e.Known = gen
	} else {
		e.Entered = gen
	}
	stored, err := b.swap(ctx, e, Change{}, lease)
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("confirm %s: %w", e.Name, err)
	}
	return stored, nil
}

// Confirmed returns the entry marked as known, after a complete search found nothing
// above its mark, so that the next record can be made from it. Nothing is stored
// until Enter or Reserve is called with it.
func (b *Book) Confirmed(ctx context.Context, e recordstore.Entry) (recordstore.Entry, error) {
	gen, err := b.Store.Generation(ctx)
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("confirm %s: %w", e.Name, err)
	}
	e.Known = gen
	return e, nil
}

// copied reports whether an entry came from an earlier life of the store. What was pending
// then must not rise above what was published after the copy was made.
func copied(e recordstore.Entry, gen recordstore.Generation) bool {
	return e.Known != gen && e.Entered != gen
}
