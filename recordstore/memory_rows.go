package recordstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// MemoryRows are Rows in memory. The zero value is ready to use.
type MemoryRows struct {
	mu       sync.Mutex // guards all below
	rows     map[rowKey]Row
	versions uint64
}

type rowKey struct{ table, key string }

var _ Rows = (*MemoryRows)(nil)

// Get implements Rows.
func (m *MemoryRows) Get(ctx context.Context, table, key string) (Row, error) {
	if err := ctx.Err(); err != nil {
		return Row{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.rows[rowKey{table, key}]
	if !ok {
		return Row{}, fmt.Errorf("row %q/%q: %w", table, key, ErrNotFound)
	}
	r.Value = bytes.Clone(r.Value)
	return r, nil
}

// Swap implements Rows.
func (m *MemoryRows) Swap(ctx context.Context, r Row) (Row, error) {
	if err := ctx.Err(); err != nil {
		return Row{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := rowKey{r.Table, r.Key}
	stored, err := SettleRow(m.rows[at], r, m.versions+1)
	if err != nil {
		return Row{}, err
	}
	if stored.Version == 0 {
		delete(m.rows, at)
		return stored, nil
	}
	if m.rows == nil {
		m.rows = make(map[rowKey]Row)
	}
	m.versions++
	kept := stored
	kept.Value = bytes.Clone(r.Value)
	m.rows[at] = kept
	return stored, nil
}

// Range implements Rows.
func (m *MemoryRows) Range(ctx context.Context, table, from, to string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, key := range m.keys(table, from, to) {
			r, err := m.Get(ctx, table, key)
			if errors.Is(err, ErrNotFound) { // deleted meanwhile
				continue
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// All implements Rows.
func (m *MemoryRows) All(ctx context.Context) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		m.mu.Lock()
		tables := make(map[string]bool)
		for at := range m.rows {
			tables[at.table] = true
		}
		m.mu.Unlock()
		for _, table := range slices.Sorted(maps.Keys(tables)) {
			for r, err := range m.Range(ctx, table, "", "") {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

func (m *MemoryRows) keys(table, from, to string) (keys []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for at := range m.rows {
		if at.table == table && at.key >= from && (to == "" || at.key < to) {
			keys = append(keys, at.key)
		}
	}
	slices.Sort(keys)
	return keys
}
