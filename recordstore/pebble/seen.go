package pebble

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// Seen implements recordstore.Store.
func (s *Store) Seen(ctx context.Context, name ipns.Name) (recordstore.SeenMark, error) {
	if err := s.begin(ctx); err != nil {
		return recordstore.SeenMark{}, err
	}
	defer s.use.RUnlock()
	m, err := s.readSeen(name)
	if err != nil {
		return recordstore.SeenMark{}, fmt.Errorf("seen mark of %s: %w", name, err)
	}
	return m, nil
}

func (s *Store) readSeen(name ipns.Name) (m recordstore.SeenMark, err error) {
	err = s.get(s.nameKey(kindSeen, name), func(b []byte) error {
		m, err = blob.DecodeSeen(b)
		return err
	})
	return m, err
}

// SetSeen implements recordstore.Store.
func (s *Store) SetSeen(ctx context.Context, marks ...recordstore.SeenMark) error {
	highest := make(map[ipns.Name]recordstore.SeenMark, len(marks))
	for _, m := range marks {
		if h, ok := highest[m.Name]; !ok || h.Mark.Compare(m.Mark) <= 0 {
			highest[m.Name] = m
		}
	}
	return s.write(ctx, func() error { return s.raiseSeen(highest) })
}

// raiseSeen writes the marks that are above the stored ones.
func (s *Store) raiseSeen(marks map[ipns.Name]recordstore.SeenMark) error {
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	b := s.db.NewBatch()
	for _, m := range marks {
		old, err := s.readSeen(m.Name)
		switch {
		case err == nil && old.Mark.Compare(m.Mark) > 0:
			continue
		case err != nil && !errors.Is(err, recordstore.ErrNotFound) && !isDamage(err):
			return fmt.Errorf("seen mark of %s: %w", m.Name, err)
		}
		if err := b.Set(s.nameKey(kindSeen, m.Name), blob.EncodeSeen(m), nil); err != nil {
			return fmt.Errorf("seen mark of %s: %w", m.Name, err)
		}
	}
	if err := commit(b, pebble.NoSync); err != nil {
		return fmt.Errorf("write seen marks: %w", err)
	}
	return nil
}

// AllSeen implements recordstore.Marks.
func (s *Store) AllSeen(ctx context.Context) iter.Seq2[recordstore.SeenMark, error] {
	from, to := s.bounds(kindSeen, recordstore.Region{})
	return func(yield func(recordstore.SeenMark, error) bool) {
		for p, err := range s.wholePairs(ctx, from, to) {
			var m recordstore.SeenMark
			if err == nil {
				m, err = blob.DecodeSeen(p.value)
			}
			if err != nil {
				yield(recordstore.SeenMark{}, fmt.Errorf("all seen marks: %w", err))
				return
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// PruneSeen implements recordstore.Marks. It needs 8 bytes of memory for each mark.
func (s *Store) PruneSeen(ctx context.Context, before time.Time, limit int) (int, error) {
	var until []int64
	left, err := s.dropSeen(ctx, func(m recordstore.SeenMark) bool {
		if m.Until.Before(before) {
			return true
		}
		until = append(until, m.Until.Unix())
		return false
	})
	if err != nil || left <= limit {
		return left, err
	}
	slices.Sort(until)
	last := until[left-limit-1] // latest Until to delete, though not all marks with it
	first, _ := slices.BinarySearch(until, last)
	ties := left - limit - first
	return s.dropSeen(ctx, func(m recordstore.SeenMark) bool {
		if m.Until.Unix() == last && ties > 0 {
			ties--
			return true
		}
		return m.Until.Unix() < last
	})
}

// dropSeen deletes the marks that drop selects and those that cannot be read, and
// counts the rest.
func (s *Store) dropSeen(ctx context.Context, drop func(recordstore.SeenMark) bool) (left int, err error) {
	from, to := s.bounds(kindSeen, recordstore.Region{})
	var keys [][]byte
	for p, err := range s.pairs(ctx, from, to, s.damaged) {
		if err != nil {
			return 0, fmt.Errorf("prune seen marks: %w", err)
		}
		m, err := blob.DecodeSeen(p.value)
		if err == nil && !drop(m) {
			left++
			continue
		}
		if keys = append(keys, p.key); len(keys) == chunk {
			if err := s.deleteAll(ctx, keys); err != nil {
				return 0, err
			}
			keys = keys[:0]
		}
	}
	return left, s.deleteAll(ctx, keys)
}

func (s *Store) deleteAll(ctx context.Context, keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	b := s.db.NewBatch()
	for _, k := range keys {
		if err := b.Delete(k, nil); err != nil {
			return fmt.Errorf("prune seen marks: %w", err)
		}
	}
	if err := s.write(ctx, func() error { return commit(b, pebble.NoSync) }); err != nil {
		return fmt.Errorf("prune seen marks: %w", err)
	}
	return nil
}
