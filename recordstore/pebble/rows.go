package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// Rows are the rows in the database of a Store, usable while it is open.
type Rows struct{ s *Store }

var _ recordstore.Rows = Rows{}

// Rows returns the rows stored beside the names.
func (s *Store) Rows() recordstore.Rows { return Rows{s} }

func (s *Store) rowKey(table, key string) []byte {
	return s.key(kindRow, []byte(table), []byte{0}, []byte(key))
}

func encodeRow(r recordstore.Row) []byte {
	w := blob.NewEncoder(16 + len(r.Value))
	w.Uint(r.Version)
	w.Bytes(r.Value)
	return w.Sum()
}

func decodeRow(table, key string, b []byte) (recordstore.Row, error) {
	d := blob.NewDecoder(b)
	r := recordstore.Row{Table: table, Key: key, Version: d.Uint()}
	r.Value = append([]byte{}, d.Bytes()...) // an empty value is not nil
	if err := d.Done(); err != nil {
		return recordstore.Row{}, err
	}
	return r, nil
}

// Get implements recordstore.Rows.
func (rows Rows) Get(ctx context.Context, table, key string) (recordstore.Row, error) {
	s := rows.s
	if err := s.begin(ctx); err != nil {
		return recordstore.Row{}, err
	}
	defer s.use.RUnlock()
	at := s.rowKey(table, key)
	r, err := s.readRow(at, table, key)
	if old, pending := s.rowLocks.before(string(at)); pending {
		if r, err = old, nil; old.Version == 0 {
			err = recordstore.ErrNotFound
		}
		r.Value = bytes.Clone(r.Value)
	}
	if err != nil {
		return recordstore.Row{}, fmt.Errorf("row %q/%q: %w", table, key, err)
	}
	return r, nil
}

func (s *Store) readRow(at []byte, table, key string) (r recordstore.Row, err error) {
	err = s.get(at, func(b []byte) error {
		r, err = decodeRow(table, key, b)
		return err
	})
	return r, err
}

// Swap implements recordstore.Rows.
func (rows Rows) Swap(ctx context.Context, r recordstore.Row) (recordstore.Row, error) {
	stored, err := rows.swap(ctx, r)
	if err != nil {
		return recordstore.Row{}, fmt.Errorf("swap: %w", err)
	}
	return stored, nil
}

func (rows Rows) swap(ctx context.Context, r recordstore.Row) (stored recordstore.Row, err error) {
	s := rows.s
	if err := errors.Join(recordstore.CheckRowKey(r.Table, r.Key), s.disk.Room()); err != nil {
		return stored, err
	}
	at := s.rowKey(r.Table, r.Key)
	l, err := s.rowLocks.lock(ctx, string(at), s.disk.filling())
	if err != nil {
		return stored, err
	}
	if err := s.begin(ctx); err != nil {
		s.rowLocks.unlock(string(at), l)
		return stored, err
	}
	old, err := s.readRow(at, r.Table, r.Key)
	if err == nil || errors.Is(err, recordstore.ErrNotFound) {
		stored, err = recordstore.SettleRow(old, r, s.rowVersions.Add(1))
	}
	if err != nil {
		s.use.RUnlock()
		s.rowLocks.unlock(string(at), l)
		return stored, err
	}
	b := s.db.NewBatch()
	if stored.Version == 0 {
		err = b.Delete(at, nil)
	} else {
		err = b.Set(at, encodeRow(stored), nil)
	}
	if err != nil {
		s.use.RUnlock()
		s.rowLocks.unlock(string(at), l)
		return stored, errors.Join(err, b.Close())
	}
	done := commitHeld(s, &s.rowLocks, string(at), l, old, b, func() {})
	s.use.RUnlock()
	return stored, s.disk.await(ctx, done)
}

// Range implements recordstore.Rows.
func (rows Rows) Range(ctx context.Context, table, from, to string) iter.Seq2[recordstore.Row, error] {
	s := rows.s
	return func(yield func(recordstore.Row, error) bool) {
		first := s.rowKey(table, "")
		start, end := s.rowKey(table, from), s.rowKey(table, to)
		if to == "" {
			end[len(end)-1] = 1 // the zero byte after the table
		}
		for p, err := range s.pairs(ctx, start, end, s.damaged) {
			var r recordstore.Row
			if err == nil {
				if r, err = decodeRow(table, string(p.key[len(first):]), p.value); isDamage(err) {
					s.damaged(p.key, err)
					continue
				}
			}
			if err != nil {
				yield(recordstore.Row{}, fmt.Errorf("rows of %s: %w", table, err))
				return
			}
			if old, pending := s.rowLocks.before(string(p.key)); pending {
				if r = old; r.Version == 0 {
					continue
				}
				r.Value = bytes.Clone(r.Value)
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// All implements recordstore.Rows.
func (rows Rows) All(ctx context.Context) iter.Seq2[recordstore.Row, error] {
	s := rows.s
	start, end := s.key(kindRow), s.key(kindRow+1)
	return func(yield func(recordstore.Row, error) bool) {
		for p, err := range s.wholePairs(ctx, start, end) {
			var r recordstore.Row
			if err == nil {
				table, key, _ := strings.Cut(string(p.key[len(start):]), "\x00")
				r, err = decodeRow(table, key, p.value)
			}
			if err != nil {
				yield(recordstore.Row{}, fmt.Errorf("all rows: %w", err))
				return
			}
			if old, pending := s.rowLocks.before(string(p.key)); pending {
				if r = old; r.Version == 0 {
					continue
				}
				r.Value = bytes.Clone(r.Value)
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}
