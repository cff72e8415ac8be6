package hosting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/goipns/ipns/recordstore"
)

// The tables of a Host.
const (
	tenantTable  = "hosting/tenant"  // by name
	tokenTable   = "hosting/token"   // by the hash of the token
	denyTable    = "hosting/deny"    // by "name:" or "tenant:" and what is denied
	auditTable   = "hosting/audit"   // by the number of the first line
	custodyTable = "hosting/custody" // by tenant, "/" and label
	endedTable   = "hosting/ended"   // by name
	warnedTable  = "hosting/warned"  // by name
)

// swapTries is how often a row is read again after a conflict.
const swapTries = 100

// read reads a row as JSON, or returns recordstore.ErrNotFound.
func read[T any](ctx context.Context, rows recordstore.Rows, table, key string) (v T, r recordstore.Row, err error) {
	if r, err = rows.Get(ctx, table, key); err != nil {
		return v, recordstore.Row{Table: table, Key: key}, err
	}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return v, r, fmt.Errorf("row %q/%q: %w", table, key, err)
	}
	return v, r, nil
}

// change reads a row and stores what f makes of it: nil deletes it. had is false if there
// was none. f is called again after a conflict.
func change[T any](ctx context.Context, rows recordstore.Rows, table, key string, f func(v T, had bool) (*T, error)) error {
	for range swapTries {
		v, r, err := read[T](ctx, rows, table, key)
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
			return err
		}
		had := err == nil
		next, err := f(v, had)
		if err != nil || next == nil && !had {
			return err
		}
		r.Value = nil
		if next != nil {
			if r.Value, err = json.Marshal(next); err != nil {
				return err
			}
		}
		if _, err = rows.Swap(ctx, r); !errors.Is(err, recordstore.ErrConflict) {
			return err
		}
	}
	return recordstore.ErrConflict
}

// all yields the rows of a table from a key to another.
func all[T any](ctx context.Context, rows recordstore.Rows, table, from, to string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for r, err := range rows.Range(ctx, table, from, to) {
			var v T
			if err == nil {
				err = json.Unmarshal(r.Value, &v)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}
