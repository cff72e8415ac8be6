package publisher_test

import (
	"context"
	"fmt"
	"log"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing/routingtest"
)

// A name gets two values. This network is in memory; a program uses the DHTs of package
// routing/dht, or its own Router.
func ExamplePublisher_Publish() {
	ctx := context.Background()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		log.Fatal(err)
	}
	signer := ipns.NewSigner(key)
	name, err := ipns.NameOf(signer.Public())
	if err != nil {
		log.Fatal(err)
	}
	book := &names.Book{Store: recordstore.NewMemory()}
	if err := book.Create(ctx, name); err != nil { // the key is new: nothing was ever published
		log.Fatal(err)
	}
	p := &publisher.Publisher{Book: book, Router: routingtest.New(20)}
	defer p.Close(ctx)
	for _, value := range []string{"/ipfs/bafkqaaa", "/ipfs/bafkqaaa/2"} {
		res, err := p.Publish(ctx, signer, publisher.Request{Value: value, Wait: publisher.WaitAll})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(res.Record.Sequence(), res.Record.Value(), res.Receipt)
	}
	// Output:
	// 0 /ipfs/bafkqaaa announced to 20 of 20
	// 1 /ipfs/bafkqaaa/2 announced to 20 of 20
}
