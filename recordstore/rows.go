package recordstore

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

// Bounds of a row.
const (
	MaxRowKey = 512     // bytes of its table and its key together
	MaxRow    = 1 << 20 // bytes of its value
)

// Row is a value by table and key.
type Row struct {
	Table, Key string
	// Value is what its owner makes of it; nil: there is no row.
	Value []byte
	// Version is another one after each swap, also of a row that was deleted and made
	// again; 0 in a row that is not stored.
	Version uint64
}

// Rows are small tables for those who build on a store, where the names are: what
// they keep is as durable, and as shared, as a name. Tenants, tokens and quotas of
// hosting will be rows, what is to be delivered to watchers, the keys that several
// daemons share; nothing is yet. They know nothing of what is in them.
//
// Implementations are safe for concurrent use, and pass the test in package
// recordstoretest.
type Rows interface {
	// Get returns a row, or ErrNotFound.
	Get(ctx context.Context, table, key string) (Row, error)

	// Swap replaces the row of r.Table and r.Key if the stored one still has the
	// version that r.Version names, 0 standing for "there is none", and returns it as
	// it is now stored. A nil Value deletes it. If the versions differ, it returns
	// ErrConflict and changes nothing. It is durable when Swap returns without an
	// error; errors say what those of Store.Swap say.
	Swap(ctx context.Context, r Row) (Row, error)

	// Range yields the rows of a table from the key from up to the key to, which is
	// not among them, in the order of their keys as bytes. An empty to is the end. What
	// is written meanwhile may or may not be seen.
	Range(ctx context.Context, table, from, to string) iter.Seq2[Row, error]
}

// SettleRow returns next as a Swap that found old stores it, under a version that was
// never used. Implementations of Rows call it between reading and writing; old is the
// zero Row if there is none. A Version of 0 says that the row is to be deleted.
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

// CheckRowKey refuses what cannot be the table and the key of a row.
func CheckRowKey(table, key string) error {
	switch {
	case table == "" || strings.Contains(table, "\x00"):
		return fmt.Errorf("table %.80q: the name is empty or contains a zero byte", table)
	case len(table)+len(key) > MaxRowKey:
		return fmt.Errorf("row %.80q/%.80q: table and key have %d bytes, the limit is %d", table, key, len(table)+len(key), MaxRowKey)
	}
	return nil
}
