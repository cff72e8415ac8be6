package pebble

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// Damage is a stored value that cannot be trusted.
type Damage struct {
	Key  []byte    // in the database
	To   []byte    // if set, nothing in [Key, To) can be read
	Name ipns.Name // zero: unknown, since the key holds only the Kademlia id
	Err  error
}

func (d Damage) String() string {
	if d.Name.IsZero() {
		return fmt.Sprintf("%x: %v", d.Key, d.Err)
	}
	return fmt.Sprintf("%s: %v", d.Name, d.Err)
}

// Check reads the whole store, verifies each signature, and yields what is damaged. The
// store can be used meanwhile. If names are given, damaged entries are attributed to
// them where nothing else identifies the name.
func (s *Store) Check(ctx context.Context, names ...ipns.Name) iter.Seq2[Damage, error] {
	of := make(map[string]ipns.Name, len(names))
	for _, name := range names {
		of[string(s.nameKey(kindEntry, name))] = name
	}
	return func(found func(Damage, error) bool) {
		yield := func(d Damage, err error) bool {
			if d.Name.IsZero() && d.To == nil {
				d.Name = of[string(d.Key)]
			}
			return found(d, err)
		}
		for _, kind := range []byte{kindEntry, kindHistory, kindUpkeep, kindSeen, kindChange, kindChanged, kindRow} {
			if !s.checkKind(ctx, kind, yield) {
				return
			}
		}
	}
}

func (s *Store) checkKind(ctx context.Context, kind byte, yield func(Damage, error) bool) bool {
	ok := true
	report := func(key []byte, err error) {
		d := Damage{Key: key, Err: err}
		if u := (*unreadable)(nil); errors.As(err, &u) {
			d.To = u.to
		}
		ok = ok && yield(d, nil)
	}
	for p, err := range s.pairs(ctx, s.key(kind), s.key(kind+1), report) {
		if err != nil {
			yield(Damage{}, fmt.Errorf("check record store: %w", err))
			return false
		}
		if d := s.checkValue(kind, p); d.Err != nil && ok {
			ok = yield(d, nil)
		}
		if !ok {
			return false
		}
	}
	return ok
}

func (s *Store) checkValue(kind byte, p pair) Damage {
	d := Damage{Key: p.key}
	var records []*ipns.Record
	switch kind {
	case kindEntry:
		var e recordstore.Entry
		e, d.Err = blob.DecodeEntry(p.value, s.before)
		if d.Name = e.Name; d.Err != nil {
			d.Name, _ = s.nameAt(p.key, p.value)
		}
		records = append(append(e.Kept(), e.Staged...), e.Rivals...)
	case kindHistory, kindChange, kindChanged, kindRow:
		// The value does not repeat the name: only its checksum can be checked.
		d.Err = blob.NewDecoder(p.value).Err()
	case kindUpkeep:
		_, d.Err = blob.DecodeUpkeep(p.value)
	case kindSeen:
		_, d.Err = blob.DecodeSeen(p.value)
	}
	for _, r := range records {
		if d.Err == nil {
			_, d.Err = ipns.Reopen(r.Name(), r.Raw())
		}
	}
	return d
}
