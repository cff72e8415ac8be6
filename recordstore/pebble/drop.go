package pebble

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns/recordstore"
)

// Drop implements recordstore.Store. It is one batch: a crash leaves all of the name
// or its mark alone.
func (s *Store) Drop(ctx context.Context, e recordstore.Entry, until time.Time) error {
	if err := s.beginWrite(ctx); err != nil {
		return fmt.Errorf("drop %s: %w", e.Name, err)
	}
	defer s.use.RUnlock()
	l, err := s.locks.lock(ctx, e.Name)
	if err != nil {
		return fmt.Errorf("drop %s: %w", e.Name, err)
	}
	defer s.locks.unlock(e.Name, l)
	old, err := s.read(e.Name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return fmt.Errorf("drop %s: %w", e.Name, err)
	}
	mark, err := recordstore.SettleDrop(old, e, until)
	if err != nil {
		return err
	}
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	switch seen, err := s.readSeen(e.Name); {
	case err == nil && seen.Mark.Compare(mark.Mark) > 0:
		mark = seen
	case err != nil && !errors.Is(err, recordstore.ErrNotFound) && !errors.Is(err, errDamaged):
		return fmt.Errorf("drop %s: %w", e.Name, err)
	}
	b := s.db.NewBatch()
	defer b.Close()
	from, to := s.historyBounds(e.Name)
	err = errors.Join(
		b.Delete(s.nameKey(kindEntry, e.Name), nil),
		b.DeleteRange(from, to, nil),
		b.Delete(s.nameKey(kindUpkeep, e.Name), nil),
		b.Set(s.nameKey(kindSeen, e.Name), encodeSeen(mark), nil),
		b.Commit(pebble.NoSync))
	if err != nil {
		return fmt.Errorf("drop %s: %w", e.Name, err)
	}
	return nil
}
