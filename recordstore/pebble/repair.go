package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// damagedVersion is the version of an entry that cannot be read: higher than any real
// one.
const damagedVersion = 1 << 62

// isDamage reports whether an error means that stored data cannot be trusted.
func isDamage(err error) bool {
	return errors.Is(err, blob.ErrDamaged) || pebble.IsCorruptionError(err)
}

// rebuild returns the entry of a name whose stored entry cannot be read, as far as it
// is known. Swapping it in repairs the entry, so that no separate repair is needed.
//
// The newest version in the history was the entry's record: both are written in one
// batch. If it cannot be read either, no older one replaces it. Everything else in the
// entry is lost, so its last sequence counts as unknown: a publish has to search first.
// The name is kept as an own one, since it may be.
func (s *Store) rebuild(name ipns.Name) recordstore.Entry {
	e := recordstore.Entry{Name: name, Version: damagedVersion, Damaged: true}
	if m, err := s.readSeen(name); err == nil {
		e.Mark = m.Mark
	}
	for _, past := range s.newest(name) {
		if e.Record == nil {
			e.Record, e.Changed = past.Record, past.At
		} else if len(e.Rivals) < recordstore.MaxRivals {
			e.Rivals = append(e.Rivals, past.Record)
			e.Forks++
		}
	}
	if e.Record != nil {
		e.Origin = recordstore.Own
		if m := recordstore.MarkOf(e.Record); e.Mark.Compare(m) < 0 {
			e.Mark = m
		}
	}
	if !e.Mark.IsZero() {
		e.Next = max(e.Mark.Sequence, e.Mark.Sequence+1)
	}
	return e
}

// newest returns the versions with the name's last sequence, the greatest first; none
// unless all of them can be read.
func (s *Store) newest(name ipns.Name) (list []recordstore.Past) {
	from, to := s.historyBounds(name)
	pairs, err := s.lastPairs(from, to)
	if err != nil {
		return nil
	}
	for _, p := range pairs {
		past, err := blob.DecodePast(name, p.value)
		if err != nil {
			return nil
		}
		if len(list) > 0 && past.Record.Sequence() != list[0].Record.Sequence() {
			break
		}
		list = append(list, past)
	}
	recordstore.NewestFirst(list)
	return list
}

// lastPairs returns the last pairs in [from, to), last first. Damage before them does
// not matter to it.
func (s *Store) lastPairs(from, to []byte) (list []pair, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := it.Close(); len(list) == 0 {
			err = errors.Join(err, cerr)
		}
	}()
	for it.Last(); it.Valid() && len(list) < recordstore.MaxRivals+2; it.Prev() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		list = append(list, pair{bytes.Clone(it.Key()), bytes.Clone(value)})
	}
	return list, it.Error()
}

// nameAt finds the name of an entry whose value cannot be read, from what is left of it
// or from the name's upkeep.
func (s *Store) nameAt(key, value []byte) (ipns.Name, bool) {
	id := key[len(s.prefix)+1:]
	is := func(name ipns.Name) bool {
		kad := name.Kad()
		return !name.IsZero() && bytes.Equal(kad[:], id)
	}
	if name, ok := blob.FirstName(value); ok && is(name) {
		return name, true
	}
	var u recordstore.Upkeep
	err := s.get(s.key(kindUpkeep, id), func(b []byte) (err error) { u, err = blob.DecodeUpkeep(b); return err })
	return u.Name, err == nil && is(u.Name)
}

// notedIn returns the names in a range of entries that have upkeep.
func (s *Store) notedIn(ctx context.Context, from, to []byte) (list []ipns.Name, err error) {
	ofUpkeep := func(key []byte) []byte {
		at := len(s.prefix)
		if key[at] != kindEntry { // the end of the kind
			return s.key(kindUpkeep + 1)
		}
		return s.key(kindUpkeep, key[at+1:])
	}
	for p, err := range s.pairs(ctx, ofUpkeep(from), ofUpkeep(to), func([]byte, error) {}) {
		if err != nil {
			return nil, err
		}
		if u, err := blob.DecodeUpkeep(p.value); err == nil {
			list = append(list, u.Name)
		}
	}
	return list, nil
}

// Repair repairs a damage that Check found. An entry is rebuilt as Get shows it; anything
// else is deleted. A range that cannot be read is cut out of the database, and in the
// same step the entries of names in it that are known, from their upkeep or from names,
// are rebuilt.
func (s *Store) Repair(ctx context.Context, d Damage, names []ipns.Name) (err error) {
	kind := d.Key[len(s.prefix)]
	if kind == kindChange {
		err = s.forgetChanges()
	}
	switch {
	case err != nil:
	case d.To != nil && kind == kindEntry:
		var noted []ipns.Name
		if noted, err = s.notedIn(ctx, d.Key, d.To); err == nil {
			err = s.cut(ctx, d, append(noted, names...))
		}
	case d.To != nil:
		err = s.cut(ctx, d, nil)
	case kind == kindEntry && !d.Name.IsZero():
		err = s.Restore(ctx, d.Name)
	default:
		key := bytes.Clone(d.Key)
		err = s.write(ctx, func() error { return s.db.Delete(key, pebble.Sync) })
	}
	if err != nil {
		return fmt.Errorf("repair %q: %w", d.Key, err)
	}
	return nil
}

// Restore writes the rebuilt entry of a name, if the stored one is damaged.
func (s *Store) Restore(ctx context.Context, name ipns.Name) error {
	e, err := s.Get(ctx, name)
	if err != nil || !e.Damaged {
		return err
	}
	e.Origin = recordstore.Own
	if _, err = s.Swap(ctx, e, recordstore.Lease{}); errors.Is(err, recordstore.ErrConflict) {
		return nil // repaired by another caller
	}
	return err
}

// cut cuts an unreadable range out of the database. Nothing else may use the store
// meanwhile.
func (s *Store) cut(ctx context.Context, d Damage, names []ipns.Name) error {
	if err := s.disk.Room(); err != nil {
		return err
	}
	s.use.Lock()
	defer s.use.Unlock()
	if s.closed {
		return recordstore.ErrClosed
	}
	if err := s.disk.settle(ctx); err != nil {
		return err
	}
	span := pebble.KeyRange{Start: bytes.Clone(d.Key), End: bytes.Clone(d.To)}
	keep := make(map[string][]byte)
	for _, name := range names {
		key := s.nameKey(kindEntry, name)
		if bytes.Compare(key, span.Start) < 0 || bytes.Compare(key, span.End) >= 0 {
			continue
		}
		e, err := s.read(name)
		if err != nil {
			continue // no such key
		}
		if e.Damaged {
			e.Origin, e.Damaged = recordstore.Own, false
			e.Version++
		}
		keep[string(key)] = blob.EncodeEntry(e)
	}
	s.widen(&span, keep)
	return s.disk.await(ctx, s.disk.start(func() error { return s.replace(span, keep) }))
}

// widen extends a range by its neighbours, which are kept. Else a reader of the last
// key before the range would still read into the bad block to find the end.
func (s *Store) widen(span *pebble.KeyRange, keep map[string][]byte) {
	from, to := s.key(0), s.key(0xff)
	edge := func(lower, upper []byte, move func(*pebble.Iterator) bool) []byte {
		it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			return nil
		}
		defer it.Close()
		if !move(it) {
			return nil
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil
		}
		keep[string(it.Key())] = bytes.Clone(value)
		return bytes.Clone(it.Key())
	}
	start, end := span.Start, span.End
	if k := edge(from, start, (*pebble.Iterator).Last); k != nil {
		span.Start = k
	}
	if k := edge(end, to, (*pebble.Iterator).First); k != nil {
		span.End = append(k, 0)
	}
}

// replace cuts a range out and writes the given keys into it, both or nothing.
func (s *Store) replace(span pebble.KeyRange, pairs map[string][]byte) (err error) {
	path := s.fs().PathJoin(s.disk.Dir, "repair.tmp")
	f, err := s.fs().Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), sstable.WriterOptions{
		TableFormat: s.db.FormatMajorVersion().MaxTableFormat(),
	})
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		err = errors.Join(err, w.Set([]byte(key), pairs[key]))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return errors.Join(err, s.fs().Remove(path))
	}
	ctx := context.Background() // it must not stop halfway
	if len(pairs) == 0 {
		return errors.Join(s.fs().Remove(path), s.db.Excise(ctx, span))
	}
	_, err = s.db.IngestAndExcise(ctx, []string{path}, nil, nil, span)
	return err
}
