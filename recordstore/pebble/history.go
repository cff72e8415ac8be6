package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// remember adds records that are new in next to the history, in the batch that changes
// the entry, and keeps the limit of a hosted name. The caller holds the name's lock.
func (s *Store) remember(b *pebble.Batch, old, next recordstore.Entry) error {
	id := next.Name.Kad()
	var had [][32]byte
	if old.Origin >= recordstore.Hosted {
		for _, rec := range old.Kept() {
			had = append(had, rec.Hash())
		}
	}
	added := make(map[recordstore.PastKey]bool)
	for _, rec := range next.Kept() {
		if slices.Contains(had, rec.Hash()) {
			continue
		}
		pk := recordstore.PastKeyOf(rec)
		added[pk] = true
		key := s.key(kindHistory, id[:], pk[:])
		if err := b.Set(key, blob.EncodePast(recordstore.Past{Record: rec, At: next.Changed}), nil); err != nil {
			return err
		}
	}
	if next.Origin == recordstore.Hosted && len(added) > 0 {
		return s.bound(b, next.Name, added)
	}
	return nil
}

// bound deletes the oldest versions of a hosted name beyond the limit; added are those
// that the batch adds.
func (s *Store) bound(b *pebble.Batch, name ipns.Name, added map[recordstore.PastKey]bool) (err error) {
	from, to := s.historyBounds(name)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	kept := len(added)
	for it.Last(); it.Valid(); it.Prev() {
		var pk recordstore.PastKey
		copy(pk[:], it.Key()[len(from):])
		if added[pk] {
			continue
		}
		if kept++; kept > recordstore.HostedHistory {
			if err := b.Delete(it.Key(), nil); err != nil {
				return err
			}
		}
	}
	return it.Error()
}

func (s *Store) historyBounds(name ipns.Name) (from, to []byte) {
	from = s.nameKey(kindHistory, name)
	to = s.nameKey(kindHistory, name)
	for range len(recordstore.PastKey{}) + 1 {
		to = append(to, 0xff)
	}
	return from, to
}

// History implements recordstore.Store. It reads backwards, one chunk at a time: an own
// name can have any number of versions.
func (s *Store) History(ctx context.Context, name ipns.Name) iter.Seq2[recordstore.Past, error] {
	return func(yield func(recordstore.Past, error) bool) {
		from, to := s.historyBounds(name)
		var same []recordstore.Past // versions with the same sequence: rivals
		pass := func() bool {
			recordstore.NewestFirst(same)
			for _, p := range same {
				if !yield(p, nil) {
					return false
				}
			}
			same = same[:0]
			return true
		}
		for to != nil {
			list, next, err := s.readBack(ctx, from, to)
			if err != nil {
				yield(recordstore.Past{}, fmt.Errorf("history of %s: %w", name, err))
				return
			}
			for _, p := range list {
				past, err := blob.DecodePast(name, p.value)
				if err != nil {
					s.damaged(p.key, err)
					continue
				}
				if len(same) > 0 && same[0].Record.Sequence() != past.Record.Sequence() && !pass() {
					return
				}
				same = append(same, past)
			}
			to = next
		}
		pass()
	}
}

// readBack returns the last pairs in [from, to), last first, and the new end; nil at
// the beginning.
func (s *Store) readBack(ctx context.Context, from, to []byte) (list []pair, next []byte, err error) {
	if err := s.begin(ctx); err != nil {
		return nil, nil, err
	}
	defer s.use.RUnlock()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.Last(); it.Valid(); it.Prev() {
		if len(list) == backChunk {
			return list, list[len(list)-1].key, nil
		}
		list = append(list, pair{bytes.Clone(it.Key()), bytes.Clone(it.Value())})
	}
	return list, nil, it.Error()
}

// backChunk is how many versions are read at once: usually only the last few are
// needed.
const backChunk = 32
