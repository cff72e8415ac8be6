package names_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

func ExampleBook_Take() {
	ctx := context.Background()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		log.Fatal(err)
	}
	book := &names.Book{Store: recordstore.NewMemory()}
	for _, sequence := range []uint64{1, 1, 2, 1} {
		rec, err := ipns.Sign(ctx, ipns.NewSigner(key), ipns.Fields{
			Value: "/ipfs/bafkqaaa", Sequence: sequence, EOL: time.Date(2126, 1, 1, 0, 0, 0, 0, time.UTC),
		}, ipns.V1V2)
		if err != nil {
			log.Fatal(err)
		}
		outcome, err := book.Take(ctx, rec, names.Entrance{Origin: recordstore.Hosted})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(sequence, outcome)
	}
	// Output:
	// 1 new
	// 1 same
	// 2 new
	// 1 older
}
