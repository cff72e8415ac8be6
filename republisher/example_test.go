package republisher_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing/routingtest"
)

// A record that someone else has signed is kept alive. Run would put it every 12 hours
// until its context ends.
func ExampleRepublisher_Look() {
	ctx := context.Background()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		log.Fatal(err)
	}
	rec, err := ipns.Sign(ctx, ipns.NewSigner(key), ipns.Fields{
		Value: "/ipfs/bafkqaaa", EOL: time.Now().Add(48 * time.Hour),
	}, ipns.V1V2)
	if err != nil {
		log.Fatal(err)
	}
	book := &names.Book{Store: recordstore.NewMemory()}
	if _, err := book.Take(ctx, rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
		log.Fatal(err)
	}
	r := &republisher.Republisher{Book: book, Router: routingtest.New(20)}
	status, err := r.Look(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Own, "own,", status.Hosted, "hosted")
	// Output: 0 own, 1 hosted
}
