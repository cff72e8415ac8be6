package postgres

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

var _ recordstore.Loader = (*Store)(nil)

// loadTries is how often a load begins anew because another daemon made one of its names
// meanwhile.
const loadTries = 5

const (
	whatIsThere  = `select k from ipns.names where k = any($1)`
	takeNumbers  = `select nextval('ipns.positions') from generate_series(1, $1::int8)`
	forgetUpkeep = `delete from ipns.upkeep where k = any($1)` // noted after a name was forgotten
)

// Load implements recordstore.Loader, by COPY in one transaction.
func (s *Store) Load(ctx context.Context, names []recordstore.Whole) ([]ipns.Name, error) {
	all, err := recordstore.SettleLoad(names)
	if err != nil {
		return nil, err
	}
	// In the order of their keys, so that daemons that load at once do not wait for each
	// other in a circle.
	slices.SortFunc(all, func(a, b recordstore.Whole) int {
		return keyspace.Key(a.Entry.Name.Kad()).Compare(b.Entry.Name.Kad())
	})
	for range loadTries {
		var there []ipns.Name
		if there, err = s.load(ctx, all); err == nil {
			s.wake.swapped()
			return there, nil
		}
		if code(err) != uniqueViolation {
			break
		}
	}
	return nil, fmt.Errorf("load %d names: %w", len(names), err)
}

// load tries once.
func (s *Store) load(ctx context.Context, all []recordstore.Whole) (there []ipns.Name, err error) {
	keys := make([][]byte, len(all))
	for i, w := range all {
		k := w.Entry.Name.Kad()
		keys[i] = bytes.Clone(k[:])
	}
	err = s.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			found, err := column[[]byte](ctx, tx, whatIsThere, keys)
			if err != nil {
				return err
			}
			known := make(map[string]bool, len(found))
			for _, k := range found {
				known[string(k)] = true
			}
			numbers, err := column[int64](ctx, tx, takeNumbers, int64(len(all)-len(found)))
			if err != nil {
				return err
			}
			var c copied
			for i, w := range all {
				if known[string(keys[i])] {
					there = append(there, w.Entry.Name)
					continue
				}
				w.Entry.Version = max(w.Entry.Version, s.seenLife().base)
				if err := c.add(keys[i], numbers[0], w); err != nil {
					return err
				}
				numbers = numbers[1:]
			}
			return c.copy(ctx, tx)
		})
	})
	if err != nil {
		return nil, err
	}
	return there, nil
}

// column reads a statement's only column.
func column[T any](ctx context.Context, tx pgx.Tx, statement string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// copied are the rows that a load writes.
type copied struct{ names, history, upkeep, changes [][]any }

func (c *copied) add(k []byte, pos int64, w recordstore.Whole) error {
	c.names = append(c.names, []any{k, int64(w.Entry.Version), pos, blob.EncodeEntry(w.Entry)})
	c.changes = append(c.changes, []any{pos, k})
	for _, p := range w.Past {
		at := recordstore.PastKeyOf(p.Record)
		c.history = append(c.history, []any{k, at[:], blob.EncodePast(p)})
	}
	if w.Upkeep.Due.IsZero() && w.Upkeep.LastPut.IsZero() {
		return nil
	}
	body, err := blob.EncodeUpkeep(w.Upkeep)
	if err != nil {
		return fmt.Errorf("upkeep of %s: %w", w.Entry.Name, err)
	}
	c.upkeep = append(c.upkeep, []any{k, nanoseconds(w.Upkeep.Due), body})
	return nil
}

func (c *copied) copy(ctx context.Context, tx pgx.Tx) error {
	var loaded [][]byte
	for _, row := range c.names {
		loaded = append(loaded, row[0].([]byte))
	}
	if _, err := tx.Exec(ctx, forgetUpkeep, loaded); err != nil {
		return err
	}
	for _, t := range []struct {
		table   string
		columns []string
		rows    [][]any
	}{
		{"names", []string{"k", "version", "pos", "entry"}, c.names},
		{"history", []string{"k", "at", "past"}, c.history},
		{"upkeep", []string{"k", "due", "body"}, c.upkeep},
		{"changes", []string{"pos", "k"}, c.changes},
	} {
		if len(t.rows) == 0 {
			continue
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"ipns", t.table}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			return err
		}
	}
	return nil
}
