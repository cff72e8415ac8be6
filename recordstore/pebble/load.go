package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

var _ recordstore.Loader = (*Store)(nil)

// loading is one call of Load: names that are locked, and the batch that stores them.
type loading struct {
	s       *Store
	held    map[ipns.Name]*lock[recordstore.Entry]
	batch   *pebble.Batch
	numbers []uint64 // of the changes in the batch
}

// Load implements recordstore.Loader. All names are in one batch, and share its fsync.
func (s *Store) Load(ctx context.Context, names []recordstore.Whole) (there []ipns.Name, err error) {
	names, err = recordstore.SettleLoad(names)
	if err == nil {
		err = s.disk.Room()
	}
	if err != nil {
		return nil, err
	}
	l := &loading{s: s, held: make(map[ipns.Name]*lock[recordstore.Entry]), batch: s.db.NewBatch()}
	there, done, err := l.start(ctx, names)
	if err == nil {
		err = s.disk.await(ctx, done)
	}
	if err != nil {
		return nil, fmt.Errorf("load names: %w", err)
	}
	s.updateWitnessIfDue()
	return there, nil
}

// start starts to commit the names that are not stored, and returns the others.
func (l *loading) start(ctx context.Context, names []recordstore.Whole) (there []ipns.Name, done <-chan error, err error) {
	defer func() {
		if err != nil {
			l.abandon()
		}
	}()
	// In one order, so that two calls do not wait for each other.
	slices.SortFunc(names, func(a, b recordstore.Whole) int { return byKad(a.Entry.Name, b.Entry.Name) })
	for _, w := range names {
		held, err := l.s.locks.lock(ctx, w.Entry.Name, l.s.disk.filling())
		if err != nil {
			return nil, nil, err
		}
		l.held[w.Entry.Name] = held
	}
	if err := l.s.begin(ctx); err != nil {
		return nil, nil, err
	}
	defer l.s.use.RUnlock()
	for _, w := range names {
		added, err := l.add(w)
		if err != nil {
			return nil, nil, err
		}
		if !added {
			there = append(there, w.Entry.Name)
			l.s.locks.unlock(w.Entry.Name, l.held[w.Entry.Name])
			delete(l.held, w.Entry.Name)
		}
	}
	return there, l.commit(), nil
}

func byKad(a, b ipns.Name) int {
	x, y := a.Kad(), b.Kad()
	return bytes.Compare(x[:], y[:])
}

// abandon ends a loading of which nothing is written.
func (l *loading) abandon() {
	for _, number := range l.numbers {
		l.s.changes.done(number)
	}
	for name, held := range l.held {
		l.s.locks.unlock(name, held)
	}
	_ = l.batch.Close() // nothing of it is wanted
}

// add adds a name to the batch, unless it is stored.
func (l *loading) add(w recordstore.Whole) (bool, error) {
	s := l.s
	_, err := s.read(w.Entry.Name)
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, recordstore.ErrNotFound) {
		return false, err
	}
	number := s.changes.begin(0)
	l.numbers = append(l.numbers, number)
	id := w.Entry.Name.Kad()
	err = errors.Join(
		l.batch.Set(s.nameKey(kindEntry, w.Entry.Name), blob.EncodeEntry(w.Entry), nil),
		s.fillChange(l.batch, w.Entry, 0, number))
	past := w.Past
	for _, rec := range w.Entry.Kept() {
		past = append(past[:len(past):len(past)], recordstore.Past{Record: rec, At: w.Entry.Changed})
	}
	for _, p := range past {
		at := recordstore.PastKeyOf(p.Record)
		err = errors.Join(err, l.batch.Set(s.key(kindHistory, id[:], at[:]), blob.EncodePast(p), nil))
	}
	if w.Upkeep.Due.IsZero() && w.Upkeep.LastPut.IsZero() { // what was noted after a name was forgotten goes
		err = errors.Join(err, l.batch.Delete(s.nameKey(kindUpkeep, w.Entry.Name), nil))
	} else {
		value, uerr := blob.EncodeUpkeep(w.Upkeep)
		if uerr != nil {
			return false, fmt.Errorf("upkeep of %s: %w", w.Entry.Name, uerr)
		}
		err = errors.Join(err, l.batch.Set(s.nameKey(kindUpkeep, w.Entry.Name), value, nil))
	}
	return true, err
}

// commit starts the commit. Until it has ended, no reader gets what it stores.
func (l *loading) commit() <-chan error {
	s := l.s
	for _, held := range l.held {
		s.locks.hold(held, recordstore.Entry{})
	}
	return s.disk.start(func() error {
		defer func() {
			for name, held := range l.held {
				s.locks.unlock(name, held)
			}
		}()
		if err := l.batch.Commit(pebble.Sync); err != nil {
			return err
		}
		if err := s.disk.present(); err != nil {
			return err
		}
		s.tellOutside(uint64(l.batch.SeqNum()))
		for _, held := range l.held {
			s.locks.release(held)
		}
		for _, number := range l.numbers {
			s.changes.done(number)
		}
		return l.batch.Close()
	})
}
