package resolver_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

func Example() {
	ctx := context.Background()
	network := routingtest.New(20) // a DHT, say

	// One node announces what a name points to.
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		log.Fatal(err)
	}
	rec, err := ipns.Sign(ctx, ipns.NewSigner(key), ipns.Fields{
		Value: "/ipfs/bafkqaaa", Sequence: 7, EOL: time.Now().Add(48 * time.Hour), TTL: 5 * time.Minute,
	}, ipns.V2Only)
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := routing.Collect(network.Put(ctx, rec, routing.Look{}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt)

	// Another resolves the name, and wants ten servers to agree.
	r := &resolver.Resolver{
		Book:   &names.Book{Store: recordstore.NewMemory()},
		Router: network,
	}
	defer r.Close()
	res, err := r.Resolve(ctx, "ipns://"+rec.Name().String()+"/index.html", resolver.Options{Confidence: 10})
	if err != nil {
		log.Fatal(err)
	}
	hop := res.Hops[0]
	fmt.Println(res.Path)
	fmt.Printf("sequence %d, TTL %v, at least 10 agree: %v\n", hop.Sequence, res.TTL.Round(time.Second), hop.Agree >= 10)
	// Output:
	// announced to 20 of 20
	// /ipfs/bafkqaaa/index.html
	// sequence 7, TTL 5m0s, at least 10 agree: true
}
