package routing_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// Two networks are one Router: a record is put on both and searched on both.
func ExampleParallel() {
	ctx := context.Background()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		log.Fatal(err)
	}
	rec, err := ipns.Sign(ctx, ipns.NewSigner(key), ipns.Fields{
		Value: "/ipfs/bafkqaaa", EOL: time.Now().Add(time.Hour),
	}, ipns.V1V2)
	if err != nil {
		log.Fatal(err)
	}
	wan, lan := routingtest.New(3), routingtest.New(2)
	wan.Name, lan.Name = "wan", "lan"
	both := routing.Parallel{wan, lan}
	receipt, err := routing.Collect(both.Put(ctx, rec, routing.Look{}))
	if err != nil {
		log.Fatal(err)
	}
	have := 0
	for answer, err := range both.Search(ctx, rec.Name()) {
		if err != nil {
			log.Fatal(err)
		}
		if answer.Record != nil {
			have++
		}
	}
	fmt.Println(receipt.Took(""), "took it,", have, "have it")
	// Output: 5 took it, 5 have it
}
