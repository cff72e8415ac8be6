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
	if err := s.write(ctx, func() error { return s.drop(ctx, e, until) }); err != nil {
		return fmt.Errorf("drop %s: %w", e.Name, err)
	}
	return nil
}

func (s *Store) drop(ctx context.Context, e recordstore.Entry, until time.Time) error {
	l, err := s.locks.lock(ctx, e.Name, s.disk.filling())
	if err != nil {
		return err
	}
	defer s.locks.unlock(e.Name, l)
	old, err := s.read(e.Name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return err
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
	case err != nil && !errors.Is(err, recordstore.ErrNotFound) && !isDamage(err):
		return err
	}
	b := s.db.NewBatch()
	from, to := s.historyBounds(e.Name)
	return errors.Join(
		b.Delete(s.nameKey(kindEntry, e.Name), nil),
		b.DeleteRange(from, to, nil),
		b.Delete(s.nameKey(kindUpkeep, e.Name), nil),
		b.Set(s.nameKey(kindSeen, e.Name), encodeSeen(mark), nil),
		commit(b, pebble.NoSync))
}
