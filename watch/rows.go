package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/goipns/ipns/recordstore"
)

// set stores a value as a row, whatever is there; nil: it deletes the row.
func set(ctx context.Context, rows recordstore.Rows, table, key string, v any) error {
	var value []byte
	if v != nil {
		var err error
		if value, err = json.Marshal(v); err != nil {
			return fmt.Errorf("row %s/%s: %w", table, key, err)
		}
	}
	return recordstore.ChangeRow(ctx, rows, table, key, func([]byte) ([]byte, error) { return value, nil })
}

// load reads a row into v, and reports whether there is one.
func load(ctx context.Context, rows recordstore.Rows, table, key string, v any) (bool, error) {
	row, err := rows.Get(ctx, table, key)
	if errors.Is(err, recordstore.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(row.Value, v)
	}
	if err != nil {
		return false, fmt.Errorf("row %s/%s: %w", table, key, err)
	}
	return true, nil
}

// count returns how many rows of a webhook there are in a table.
func count(ctx context.Context, rows recordstore.Rows, table, id string) (n int, err error) {
	for _, err := range rows.Range(ctx, table, id+"/", id+"0") { // 0 follows the slash
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func splitKey(key string) (id, name string) {
	id, name, _ = strings.Cut(key, "/")
	return id, name
}
