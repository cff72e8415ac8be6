package recordstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Limits of a row.
const (
	MaxRowKey = 512     // bytes of table and key together
	MaxRow    = 1 << 20 // bytes of the value
)

// Row is a value stored under a table and a key.
type Row struct {
	Table, Key string
	// Value is opaque to the store; nil: there is no row.
	Value []byte
	// Version is different after each swap, even if the row was deleted and created
	// again; 0 if the row is not stored.
	Version uint64
}

// Rows are small generic tables for code built on a store, as durable and as shared
// as its names: hosting, ladders, and deliveries to watchers.
//
// Implementations are safe for concurrent use and pass the tests in package
// recordstoretest.
type Rows interface {
	// Get returns a row, or ErrNotFound.
	Get(ctx context.Context, table, key string) (Row, error)

	// Swap replaces the row of r.Table and r.Key if the stored version equals r.Version
	// (0: no row is stored), and returns the stored row. A nil Value deletes it. If the
	// versions differ, it returns ErrConflict and changes nothing. The row is durable
	// when Swap returns without an error; errors mean the same as for Store.Swap.
	Swap(ctx context.Context, r Row) (Row, error)

	// Range yields the rows of a table whose key is at least from and less than to, in
	// byte order of the keys. An empty to means no upper limit. Concurrent writes may
	// or may not be seen.
	Range(ctx context.Context, table, from, to string) iter.Seq2[Row, error]

	// All yields the rows of all tables, in byte order of tables and keys. One that is
	// damaged is an error, and the last: a copy without it would be believed to be whole.
	All(ctx context.Context) iter.Seq2[Row, error]
}

// RowTries is how often ChangeRow reads a row again because another writer was quicker.
const RowTries = 100

// ChangeRow stores what f makes of the value of a row, in which nil means no row: f gets it
// if there is none, and returns it to delete the row. f is called again after a conflict, up
// to RowTries times; then the error is ErrConflict. An error of f is returned as it is, and
// changes nothing.
func ChangeRow(ctx context.Context, rows Rows, table, key string, f func(value []byte) ([]byte, error)) error {
	for range RowTries {
		row, err := rows.Get(ctx, table, key)
		if errors.Is(err, ErrNotFound) {
			row, err = Row{Table: table, Key: key}, nil
		}
		if err != nil {
			return err
		}
		if row.Value, err = f(row.Value); err != nil || row.Value == nil && row.Version == 0 {
			return err
		}
		if _, err = rows.Swap(ctx, row); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("row %q/%q: %d tries: %w", table, key, RowTries, ErrConflict)
}

// SettleRow returns the row to store when Swap replaces old with next, under a version
// never used before. Implementations of Rows call it between reading and writing; old
// is the zero Row if there is none. A returned Version of 0 means: delete the row.
func SettleRow(old, next Row, version uint64) (Row, error) {
	if err := CheckRowKey(next.Table, next.Key); err != nil {
		return Row{}, err
	}
	switch {
	case len(next.Value) > MaxRow:
		return Row{}, fmt.Errorf("row %q/%q: it has %d bytes, the limit is %d", next.Table, next.Key, len(next.Value), MaxRow)
	case next.Version != old.Version || next.Value == nil && old.Version == 0:
		return Row{}, fmt.Errorf("row %q/%q: stored version is %d, not %d: %w", next.Table, next.Key, old.Version, next.Version, ErrConflict)
	case next.Value == nil:
		return Row{Table: next.Table, Key: next.Key}, nil
	}
	next.Version = version
	return next, nil
}

// CheckRowKey checks that table and key are valid for a row.
func CheckRowKey(table, key string) error {
	switch {
	case table == "" || strings.Contains(table, "\x00"):
		return fmt.Errorf("table %.80q: the name is empty or contains a zero byte", table)
	case len(table)+len(key) > MaxRowKey:
		return fmt.Errorf("row %.80q/%.80q: table and key have %d bytes, the limit is %d", table, key, len(table)+len(key), MaxRowKey)
	}
	return nil
}
