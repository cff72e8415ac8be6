package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// chunk is how many keys are read at once. Between chunks no iterator is open,
// so that a caller that takes hours for a scan holds up neither compactions nor
// the closing of the database.
const chunk = 256

// pairs yields the keys and values in [from, to), which the caller may keep.
func (s *Store) pairs(ctx context.Context, from, to []byte) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		for from != nil {
			list, next, err := s.readChunk(ctx, from, to)
			if err != nil {
				yield(pair{}, err)
				return
			}
			for _, p := range list {
				if !yield(p, nil) {
					return
				}
			}
			from = next
		}
	}
}

type pair struct{ key, value []byte }

// readChunk returns some pairs and the key after them, nil at the end.
func (s *Store) readChunk(ctx context.Context, from, to []byte) (list []pair, next []byte, err error) {
	if err := s.begin(ctx); err != nil {
		return nil, nil, err
	}
	defer s.use.RUnlock()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		if len(list) == chunk {
			return list, bytes.Clone(it.Key()), nil
		}
		list = append(list, pair{bytes.Clone(it.Key()), bytes.Clone(it.Value())})
	}
	return list, nil, it.Error()
}

// bounds returns the first key of a kind in the region and the one after the last.
func (s *Store) bounds(kind byte, region recordstore.Region) (from, to []byte) {
	first, last := region.First(), region.Last()
	return s.key(kind, first[:]), append(s.key(kind, last[:]), 0)
}

// Scan implements recordstore.Store.
func (s *Store) Scan(ctx context.Context, region recordstore.Region) iter.Seq2[recordstore.Entry, error] {
	return func(yield func(recordstore.Entry, error) bool) {
		from, to := s.bounds(kindEntry, region)
		for p, err := range s.pairs(ctx, from, to) {
			var e recordstore.Entry
			if err == nil {
				e, err = decodeEntry(p.value)
			}
			if err != nil {
				yield(recordstore.Entry{}, fmt.Errorf("scan of %v: %w", region, err))
				return
			}
			if old, pending := s.locks.before(e.Name); pending {
				if e = old; e.Version == 0 {
					continue
				}
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Due implements recordstore.Store.
func (s *Store) Due(ctx context.Context, region recordstore.Region, before time.Time) iter.Seq2[recordstore.Work, error] {
	return func(yield func(recordstore.Work, error) bool) {
		for e, err := range s.Scan(ctx, region) {
			w := recordstore.Work{Entry: e}
			if err == nil {
				if e.Record == nil {
					continue
				}
				w.Upkeep, err = s.Upkeep(ctx, e.Name)
			}
			if err != nil {
				yield(recordstore.Work{}, err)
				return
			}
			if w.Upkeep.Due.Before(before) && !yield(w, nil) {
				return
			}
		}
	}
}

// Upkeep implements recordstore.Store.
func (s *Store) Upkeep(ctx context.Context, name ipns.Name) (u recordstore.Upkeep, err error) {
	if err := s.begin(ctx); err != nil {
		return recordstore.Upkeep{}, err
	}
	defer s.use.RUnlock()
	err = s.get(s.nameKey(kindUpkeep, name), func(b []byte) error {
		u, err = decodeUpkeep(b)
		return err
	})
	// Bookkeeping may be lost; damaged, it counts as lost.
	if errors.Is(err, recordstore.ErrNotFound) || errors.Is(err, errDamaged) {
		return recordstore.Upkeep{Name: name}, nil
	}
	if err != nil {
		return recordstore.Upkeep{}, fmt.Errorf("upkeep of %s: %w", name, err)
	}
	return u, nil
}

// SetUpkeep implements recordstore.Store.
func (s *Store) SetUpkeep(ctx context.Context, notes ...recordstore.Upkeep) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.use.RUnlock()
	b := s.db.NewBatch()
	defer b.Close()
	for _, u := range notes {
		if len(u.Receipt) > recordstore.MaxReceipt {
			return fmt.Errorf("upkeep of %s: receipt has %d bytes, the limit is %d", u.Name, len(u.Receipt), recordstore.MaxReceipt)
		}
		if err := b.Set(s.nameKey(kindUpkeep, u.Name), encodeUpkeep(u), nil); err != nil {
			return fmt.Errorf("upkeep of %s: %w", u.Name, err)
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write upkeep: %w", err)
	}
	return nil
}
