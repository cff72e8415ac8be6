package names

import (
	"context"
	"fmt"

	"github.com/goipns/ipns/recordstore"
)

// Known reports whether the last sequence of the entry is known: nothing newer than
// its mark can have been published unnoticed by this store.
func (b *Book) Known(ctx context.Context, e recordstore.Entry) (bool, error) {
	gen, err := b.Store.Generation(ctx)
	return err == nil && e.Known == gen, err
}

// Current reports whether the record of the entry may be announced without asking
// others first: it came in, or was found to be the newest, in this generation of the
// store. What an earlier generation left may be older than what the store has lost.
func (b *Book) Current(ctx context.Context, e recordstore.Entry) (bool, error) {
	gen, err := b.Store.Generation(ctx)
	return err == nil && (e.Known == gen || e.Entered == gen), err
}

// Confirm stores that others have been asked and have nothing above the entry's mark,
// and returns the new entry. For an own name that takes a complete search, after
// which the next record can be made. The record of a hosted name may only be
// announced. recordstore.ErrConflict says that the entry has changed since it was
// read.
func (b *Book) Confirm(ctx context.Context, e recordstore.Entry) (recordstore.Entry, error) {
	gen, err := b.Store.Generation(ctx)
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("confirm %s: %w", e.Name, err)
	}
	if e.Origin == recordstore.Own {
		e.Known = gen
	} else {
		e.Entered = gen
	}
	stored, err := b.swap(ctx, e, Change{})
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("confirm %s: %w", e.Name, err)
	}
	return stored, nil
}

// Confirmed returns the entry with the note that a complete search has found nothing
// above its mark, so that the next record can be made from it. Nothing is stored:
// Enter and Reserve do that together with their own change.
func (b *Book) Confirmed(ctx context.Context, e recordstore.Entry) (recordstore.Entry, error) {
	gen, err := b.Store.Generation(ctx)
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("confirm %s: %w", e.Name, err)
	}
	e.Known = gen
	return e, nil
}
