package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/recordstore"
)

// Rows are the rows in the database of a Store, usable while it is open.
type Rows struct{ s *Store }

var _ recordstore.Rows = Rows{}

// Rows returns the rows stored beside the names.
func (s *Store) Rows() recordstore.Rows { return Rows{s} }

// Get implements recordstore.Rows.
func (rows Rows) Get(ctx context.Context, table, key string) (recordstore.Row, error) {
	r, err := rows.get(ctx, table, key)
	if err != nil {
		return recordstore.Row{}, fmt.Errorf("row %q/%q: %w", table, key, err)
	}
	return r, nil
}

func (rows Rows) get(ctx context.Context, table, key string) (recordstore.Row, error) {
	r := recordstore.Row{Table: table, Key: key}
	err := rows.s.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var version int64
		err := conn.QueryRow(ctx, `select version, value from ipns.rows where tab = $1 and key = $2`, []byte(table), []byte(key)).Scan(&version, &r.Value)
		r.Version = uint64(version)
		return err
	})
	return r, err
}

// Swaps of rows, each one statement.
const (
	insertRow = `insert into ipns.rows (tab, key, value) values ($1, $2, $3) on conflict do nothing returning version`
	updateRow = `update ipns.rows set value = $3, version = nextval('ipns.row_versions') where tab = $1 and key = $2 and version = $4 returning version`
	deleteRow = `delete from ipns.rows where tab = $1 and key = $2 and version = $3 returning version`
)

// Swap implements recordstore.Rows.
func (rows Rows) Swap(ctx context.Context, r recordstore.Row) (recordstore.Row, error) {
	stored, err := rows.swap(ctx, r)
	if err != nil {
		return recordstore.Row{}, fmt.Errorf("swap: %w", err)
	}
	return stored, nil
}

func (rows Rows) swap(ctx context.Context, r recordstore.Row) (recordstore.Row, error) {
	// The statement compares the versions: here they are taken to be equal.
	if _, err := recordstore.SettleRow(recordstore.Row{Version: r.Version}, r, 1); err != nil {
		return recordstore.Row{}, err
	}
	statement, args := updateRow, []any{[]byte(r.Table), []byte(r.Key), r.Value, int64(r.Version)}
	switch {
	case r.Value == nil:
		statement, args = deleteRow, []any{args[0], args[1], args[3]}
	case r.Version == 0:
		statement, args = insertRow, args[:3]
	}
	var version int64
	err := rows.s.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, statement, args...).Scan(&version)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return recordstore.Row{}, fmt.Errorf("row %q/%q: stored version is not %d: %w", r.Table, r.Key, r.Version, recordstore.ErrConflict)
	case err != nil:
		return recordstore.Row{}, fmt.Errorf("row %q/%q: %w", r.Table, r.Key, err)
	case r.Value == nil:
		return recordstore.Row{Table: r.Table, Key: r.Key}, nil
	}
	r.Version = uint64(version)
	return r, nil
}

const (
	rangeRows = `select tab, key, version, value from ipns.rows
		where tab = $1 and key >= $2 and ($3::bytea is null or key < $3) order by key limit $4`
	allRows = `select tab, key, version, value from ipns.rows
		where (tab, key) >= ($1, $2) order by tab, key limit $3`
)

// Range implements recordstore.Rows.
func (rows Rows) Range(ctx context.Context, table, from, to string) iter.Seq2[recordstore.Row, error] {
	var end []byte
	if to != "" {
		end = []byte(to)
	}
	next := func(last recordstore.Row) []any { return []any{[]byte(table), []byte(last.Key), end, rowChunk} }
	return rows.each(ctx, rangeRows, recordstore.Row{Key: from}, next, fmt.Sprintf("rows of %q", table))
}

// All implements recordstore.Rows.
func (rows Rows) All(ctx context.Context) iter.Seq2[recordstore.Row, error] {
	next := func(last recordstore.Row) []any { return []any{[]byte(last.Table), []byte(last.Key), rowChunk} }
	return rows.each(ctx, allRows, recordstore.Row{}, next, "all rows")
}

// rowChunk is how many rows one statement reads: each may have recordstore.MaxRow bytes.
const rowChunk = 64

// each yields the rows that a statement reads in chunks; next returns its arguments for those
// from a row on.
func (rows Rows) each(ctx context.Context, statement string, from recordstore.Row, next func(recordstore.Row) []any, what string) iter.Seq2[recordstore.Row, error] {
	return func(yield func(recordstore.Row, error) bool) {
		at := from
		for more := true; more; {
			found, err := list(ctx, rows.s, scanRow, statement, next(at)...)
			for _, r := range found {
				if !yield(r, nil) {
					return
				}
				at = recordstore.Row{Table: r.Table, Key: r.Key + "\x00"}
			}
			if err != nil {
				yield(recordstore.Row{}, fmt.Errorf("%s: %w", what, err))
				return
			}
			more = len(found) == rowChunk
		}
	}
}

func scanRow(row pgx.Row) (r recordstore.Row, err error) {
	var table, key []byte
	var version int64
	if err := row.Scan(&table, &key, &version, &r.Value); err != nil {
		return r, err
	}
	r.Table, r.Key, r.Version = string(table), string(key), uint64(version)
	return r, nil
}
