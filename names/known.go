package names

import (
	"context"
	"fmt"

	"github.com/goipns/ipns/recordstore"
)

// Known reports whether the last sequence of the entry is known: nothing newer
// than its mark can have been published without this store hearing of it.
func (b *Book) Known(ctx context.Context, e recordstore.Entry) (bool, error) {
	gen, err := b.Store.Generation(ctx)
	return err == nil && e.Known == gen, err
}

// Current reports whether the record of the entry may be announced without a look
// at what others have: it came in, or was found to be the newest, in this life of
// the store. What an earlier life has left may be older than what it has forgotten.
func (b *Book) Current(ctx context.Context, e recordstore.Entry) (bool, error) {
	gen, err := b.Store.Generation(ctx)
	return err == nil && (e.Known == gen || e.Entered == gen), err
}

// Confirm stores that others have been asked and have nothing above the entry's
// mark, and returns the entry as it then is. Of an own name that must have been a
// complete search: the next record can be made. The record of a hosted one may
// only be announced. recordstore.ErrConflict says that the entry has changed since
// it was read.
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

// Confirmed returns the entry as it is after a complete search has found nothing
// above its mark: from it, the next record can be made. Enter and Reserve store
// that together with what they do.
func (b *Book) Confirmed(ctx context.Context, e recordstore.Entry) (recordstore.Entry, error) {
	gen, err := b.Store.Generation(ctx)
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("confirm %s: %w", e.Name, err)
	}
	e.Known = gen
	return e, nil
}
