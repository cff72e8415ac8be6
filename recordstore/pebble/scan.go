package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// chunk is how many keys are read at once. No iterator is open between chunks, so that
// a scan that takes hours delays neither compactions nor closing the database.
const chunk = 256

type pair struct{ key, value []byte }

// pairs yields the keys and values in [from, to), which the caller may keep. It reports
// unreadable ones to damaged and skips them: one bad block must not hide all names
// after it.
func (s *Store) pairs(ctx context.Context, from, to []byte, damaged func(key []byte, err error)) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		for from != nil {
			list, next, err := s.readChunk(ctx, from, to)
			for _, p := range list {
				if !yield(p, nil) {
					return
				}
			}
			if pebble.IsCorruptionError(err) {
				next, err = s.skip(ctx, next, to, err, damaged)
			}
			if err != nil {
				yield(pair{}, err)
				return
			}
			from = next
		}
	}
}

// wholePairs yields the keys and values in [from, to). One that is unreadable is an error.
func (s *Store) wholePairs(ctx context.Context, from, to []byte) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		var damage error
		for p, err := range s.pairs(ctx, from, to, func(_ []byte, err error) { damage = errors.Join(damage, err) }) {
			if damage != nil {
				break
			}
			if !yield(p, err) {
				return
			}
		}
		if damage != nil {
			yield(pair{}, damage)
		}
	}
}

// readChunk returns some pairs and the key to continue from, nil at the end. After an
// error, that is the first key that could not be read.
func (s *Store) readChunk(ctx context.Context, from, to []byte) (list []pair, next []byte, err error) {
	if err := s.begin(ctx); err != nil {
		return nil, nil, err
	}
	defer s.use.RUnlock()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return nil, from, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	next = from
	for it.First(); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return list, next, err
		}
		if len(list) == chunk {
			return list, next, nil
		}
		list = append(list, pair{bytes.Clone(it.Key()), bytes.Clone(value)})
		next = append(bytes.Clone(it.Key()), 0)
	}
	if err := it.Error(); err != nil {
		return list, next, err
	}
	return list, nil, nil
}

// skipStep is how precisely the end of an unreadable block is located: in a store of a
// million names, keys are sixteen times as far apart.
const skipStep = 1 << 40

// skip returns a key after from at which reading works again, or nil if there is none
// before to. Keys are spread evenly over the key space, so it jumps over the unreadable
// block in doubling strides, then bisects.
func (s *Store) skip(ctx context.Context, from, to []byte, cause error, damaged func([]byte, error)) ([]byte, error) {
	at := len(s.prefix) + 1 // start of the Kademlia id
	var id [8]byte
	copy(id[:], from[at:])
	start := binary.BigEndian.Uint64(id[:])
	key := func(pos uint64) []byte { return binary.BigEndian.AppendUint64(bytes.Clone(from[:at]), pos) }
	readable := func(pos uint64) (bool, error) {
		if bytes.Compare(key(pos), to) >= 0 {
			return true, nil
		}
		err := s.probe(ctx, key(pos), to)
		if pebble.IsCorruptionError(err) {
			return false, nil
		}
		return err == nil, err
	}
	bad, good := start, uint64(0)
	for stride := uint64(skipStep); good == 0; stride *= 2 {
		if stride == 0 || start+stride < start {
			damaged(from, &unreadable{to, cause})
			return nil, nil
		}
		ok, err := readable(start + stride)
		if err != nil {
			return nil, err
		}
		if ok {
			good = start + stride
		} else {
			bad = start + stride
		}
	}
	for good-bad > skipStep {
		middle := bad + (good-bad)/2
		ok, err := readable(middle)
		if err != nil {
			return nil, err
		}
		if ok {
			good = middle
		} else {
			bad = middle
		}
	}
	end := key(good)
	if bytes.Compare(end, to) > 0 {
		end = to
	}
	damaged(from, &unreadable{end, cause})
	return end, nil
}

// unreadable means that nothing before a key can be read.
type unreadable struct {
	to    []byte
	cause error
}

func (u *unreadable) Error() string { return fmt.Sprintf("keys up to %x: %v", u.to, u.cause) }
func (u *unreadable) Unwrap() error { return u.cause }

// probe reads the first key of a range.
func (s *Store) probe(ctx context.Context, from, to []byte) (err error) {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.use.RUnlock()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if it.First() {
		_, err = it.ValueAndErr()
	}
	return errors.Join(err, it.Error())
}

// damaged reports a value that reads leave out.
func (s *Store) damaged(key []byte, err error) {
	s.log.Error("record store: a value is damaged", "key", fmt.Sprintf("%q", key), "error", err)
}

// bounds returns the range of keys of a kind in a region.
func (s *Store) bounds(kind byte, region recordstore.Region) (from, to []byte) {
	first, last := region.First(), region.Last()
	return s.key(kind, first[:]), append(s.key(kind, last[:]), 0)
}

// Scan implements recordstore.Store.
func (s *Store) Scan(ctx context.Context, region recordstore.Region) iter.Seq2[recordstore.Entry, error] {
	return func(yield func(recordstore.Entry, error) bool) {
		from, to := s.bounds(kindEntry, region)
		more := true
		skipped := func(key []byte, err error) {
			s.damaged(key, err)
			if u := (*unreadable)(nil); more && errors.As(err, &u) {
				more = s.scanNoted(ctx, key, u.to, yield)
			}
		}
		for p, err := range s.pairs(ctx, from, to, skipped) {
			if !more {
				return
			}
			if err != nil {
				yield(recordstore.Entry{}, fmt.Errorf("scan of %v: %w", region, err))
				return
			}
			e, err := blob.DecodeEntry(p.value, s.before)
			if err != nil {
				s.damaged(p.key, err)
				name, ok := s.nameAt(p.key, p.value)
				if !ok || !isDamage(err) {
					continue
				}
				if e, err = s.Get(ctx, name); err != nil {
					continue
				}
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

// scanNoted yields rebuilt entries for the known names in an unreadable range.
func (s *Store) scanNoted(ctx context.Context, from, to []byte, yield func(recordstore.Entry, error) bool) bool {
	names, err := s.notedIn(ctx, from, to)
	if err != nil {
		return yield(recordstore.Entry{}, err) && false
	}
	for _, name := range names {
		e, err := s.Get(ctx, name)
		if errors.Is(err, recordstore.ErrNotFound) {
			continue
		}
		if !yield(e, err) || err != nil {
			return false
		}
	}
	return true
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
		u, err = blob.DecodeUpkeep(b)
		return err
	})
	// Upkeep may be lost; damaged upkeep counts as lost.
	if errors.Is(err, recordstore.ErrNotFound) || isDamage(err) {
		return recordstore.Upkeep{Name: name}, nil
	}
	if err != nil {
		return recordstore.Upkeep{}, fmt.Errorf("upkeep of %s: %w", name, err)
	}
	return u, nil
}

// SetUpkeep implements recordstore.Store.
func (s *Store) SetUpkeep(ctx context.Context, notes ...recordstore.Upkeep) error {
	b := s.db.NewBatch()
	for _, u := range notes {
		value, err := blob.EncodeUpkeep(u)
		if err == nil {
			err = b.Set(s.nameKey(kindUpkeep, u.Name), value, nil)
		}
		if err != nil {
			return fmt.Errorf("upkeep of %s: %w", u.Name, err)
		}
	}
	if err := s.write(ctx, func() error { return commit(b, pebble.NoSync) }); err != nil {
		return fmt.Errorf("write upkeep: %w", err)
	}
	return nil
}
