package pebble

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Clear removes all names, their history, upkeep and changes, and all rows, and begins a new
// generation. Marks of seen names stay. Nothing else may use the store meanwhile. A crash
// leaves all or nothing of what was there, and perhaps the old generation.
func (s *Store) Clear(ctx context.Context) error {
	b := s.db.NewBatch()
	for _, kind := range []byte{kindEntry, kindHistory, kindUpkeep, kindChange, kindChanged, kindRow} {
		if err := b.DeleteRange(s.key(kind), s.key(kind+1), nil); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	if err := s.write(ctx, func() error { return commit(b, pebble.Sync) }); err != nil {
		return fmt.Errorf("clear record store: %w", err)
	}
	return errors.Join(s.Renew(), s.forgetChanges())
}
