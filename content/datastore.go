package content

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-datastore"
	pebbleds "github.com/ipfs/go-ds-pebble"
)

// Datastore shows db as a datastore, for a [Store] and for others that need one, such as a DHT. Its keys begin with
// '/'. Writes are durable only after a Sync. Its Close does nothing: db belongs to the caller, who ends all queries
// before closing it.
func Datastore(db *pebble.DB) (datastore.Batching, error) {
	d, err := pebbleds.NewDatastore("", pebbleds.WithPebbleDB(db))
	if err != nil {
		return nil, fmt.Errorf("datastore over pebble: %w", err)
	}
	return shared{d}, nil
}

// shared keeps the adapter's Close away from a database that others use.
type shared struct{ *pebbleds.Datastore }

func (shared) Close() error { return nil }
