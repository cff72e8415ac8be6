package pebble

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// remember adds the entry's records to the history, in the batch that changes
// the entry, and keeps the bounds of a hosted name. The caller holds the name's
// lock.
func (s *Store) remember(b *pebble.Batch, e recordstore.Entry) error {
	id := e.Name.Kad()
	added := make(map[recordstore.PastKey]bool)
	for _, rec := range e.Kept() {
		pk := recordstore.PastKeyOf(rec)
		key := s.key(kindHistory, id[:], pk[:])
		same := false
		err := s.get(key, func(old []byte) error {
			p, err := decodePast(e.Name, old)
			same = err == nil && p.Record.Hash() == rec.Hash()
			return nil // a damaged version is written anew
		})
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
			return err
		}
		added[pk] = true
		if same {
			continue
		}
		if err := b.Set(key, encodePast(recordstore.Past{Record: rec, At: e.Changed}), nil); err != nil {
			return err
		}
	}
	if e.Origin == recordstore.Hosted {
		return s.bound(b, e.Name, added)
	}
	return nil
}

// bound deletes the oldest versions of a hosted name, added being those that the
// batch puts in.
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

// History implements recordstore.Store. The versions of a name are read at once:
// they are few, or belong to somebody who publishes here.
func (s *Store) History(ctx context.Context, name ipns.Name) iter.Seq2[recordstore.Past, error] {
	return func(yield func(recordstore.Past, error) bool) {
		from, to := s.historyBounds(name)
		var list []recordstore.Past
		for p, err := range s.pairs(ctx, from, to) {
			var past recordstore.Past
			if err == nil {
				past, err = decodePast(name, p.value)
			}
			if err != nil {
				yield(recordstore.Past{}, fmt.Errorf("history of %s: %w", name, err))
				return
			}
			list = append(list, past)
		}
		recordstore.NewestFirst(list)
		for _, p := range list {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// Changes implements recordstore.Store.
func (s *Store) Changes(ctx context.Context, since uint64) iter.Seq2[recordstore.Change, error] {
	return s.feed.Since(ctx, since)
}
