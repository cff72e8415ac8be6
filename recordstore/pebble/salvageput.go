package pebble

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns/recordstore/blob"
)

// put keeps a version of a key if it is the newest one so far. Numbers of versions can
// be wrong across tables, as compaction sets the oldest to 0 and leaves files behind:
// entries have versions of their own. Deleted ranges come back, which is history that
// was pruned.
func (s *salvage) put(ctx context.Context, key []byte, seq uint64, kind pebble.InternalKeyKind, value []byte) error {
	gone := false
	switch kind {
	case pebble.InternalKeyKindSet, pebble.InternalKeyKindSetWithDelete:
	case pebble.InternalKeyKindDelete, pebble.InternalKeyKindSingleDelete, pebble.InternalKeyKindDeleteSized:
		gone = true
	default:
		return nil
	}
	if rest, ok := bytes.CutPrefix(key, []byte(DefaultPrefix)); ok && len(rest) > 0 && !s.keeps(rest, value) {
		return nil
	}
	side := append([]byte{sideKey}, key...)
	before, found, err := s.get(side)
	if err != nil {
		return err
	}
	newer := !found || !s.aside && seq > binary.BigEndian.Uint64(before)
	if have, ok, err := s.get(key); err != nil {
		return err
	} else if ok && !gone {
		newer = newerEntry(key, have, value, newer)
	}
	if !newer {
		return nil
	}
	s.read++
	err = s.batch.Set(side, binary.BigEndian.AppendUint64(nil, seq), nil)
	if gone {
		err = errors.Join(err, s.batch.Delete(key, nil))
	} else {
		err = errors.Join(err, s.batch.Set(key, value, nil))
	}
	if err == nil && s.batch.Len() > salvageBatch {
		err = s.flush(ctx)
	}
	return err
}

// keeps reports whether a key of the store, without its prefix, is kept. The rest is
// of the life of the store that ends.
func (s *salvage) keeps(key, value []byte) bool {
	switch key[0] {
	case kindStarts:
		if starts := blob.NewDecoder(value).Uint(); starts < 1<<startBits {
			s.starts = max(s.starts, starts)
		}
	case kindChange:
		if len(key) == 9 {
			s.starts = max(s.starts, binary.BigEndian.Uint64(key[1:])>>(64-startBits))
		}
	case kindGeneration, kindOpened, kindChanged:
	default:
		return true
	}
	return false
}

// newerEntry compares two stored values of an entry by their marks, which never go
// back, and versions; those of other keys by the given verdict.
func newerEntry(key, have, got []byte, verdict bool) bool {
	if !bytes.HasPrefix(key, append([]byte(DefaultPrefix), kindEntry)) {
		return verdict
	}
	old, oldErr := blob.DecodeEntry(have, [16]byte{})
	e, err := blob.DecodeEntry(got, [16]byte{})
	switch {
	case err != nil:
		return false
	case oldErr != nil:
		return true
	}
	return cmp.Or(e.Mark.Compare(old.Mark), cmp.Compare(e.Version, old.Version)) > 0
}

func (s *salvage) get(key []byte) (value []byte, ok bool, err error) {
	b, closer, err := s.batch.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer closer.Close()
	return bytes.Clone(b), true, nil
}

// flush writes what was read so far.
func (s *salvage) flush(ctx context.Context) error {
	b := s.batch
	s.batch = nil // it belongs to the write, which may go on after an error
	if err := s.disk.Do(ctx, func() error { return commit(b, pebble.NoSync) }); err != nil {
		return err
	}
	s.batch = s.db.NewIndexedBatch()
	return nil
}

// finish writes the rest and removes the notes. Positions from before are not valid any
// more, and numbers of changes and rows go on above the old ones.
func (s *salvage) finish(ctx context.Context) error {
	w := blob.NewEncoder(32)
	w.Uint(s.starts + 1)
	w.Uint((s.starts + 1) << (64 - startBits))
	starts := append([]byte(DefaultPrefix), kindStarts)
	if err := s.batch.Set(starts, w.Sum(), nil); err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if err := s.forgetSides(ctx); err != nil {
		return err
	}
	return s.disk.Do(ctx, s.db.Flush)
}

// forgetSides removes the notes one by one: a deleted range would stay in a table whose
// last key it exceeds.
func (s *salvage) forgetSides(ctx context.Context) (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{sideKey}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		if err := s.batch.Delete(it.Key(), nil); err != nil {
			return err
		}
		if s.batch.Len() > salvageBatch {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := it.Error(); err != nil {
		return err
	}
	return s.flush(ctx)
}
