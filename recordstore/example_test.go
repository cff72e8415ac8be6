package recordstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Of two writers that have read the same entry, one wins; the other must read again.
func ExampleStore() {
	ctx := context.Background()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		log.Fatal(err)
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		log.Fatal(err)
	}
	var store recordstore.Store = recordstore.NewMemory()
	defer store.Close()
	entry := recordstore.Entry{Name: name, Origin: recordstore.Own}
	first, err := store.Swap(ctx, entry, recordstore.Lease{})
	fmt.Println(first.Version, err)
	_, err = store.Swap(ctx, entry, recordstore.Lease{})
	fmt.Println(errors.Is(err, recordstore.ErrConflict))
	// Output:
	// 1 <nil>
	// true
}
