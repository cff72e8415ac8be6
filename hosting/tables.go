package hosting

import (
	"context"
	"encoding/json"
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
	return recordstore.ChangeRow(ctx, rows, table, key, func(value []byte) ([]byte, error) {
		var v T
		had := value != nil
		if had {
			if err := json.Unmarshal(value, &v); err != nil {
				return nil, fmt.Errorf("row %q/%q: %w", table, key, err)
			}
		}
		next, err := f(v, had)
		if err != nil || next == nil {
			return nil, err
		}
		return json.Marshal(next)
	})
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
