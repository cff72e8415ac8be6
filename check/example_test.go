package check_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/check"
)

// Judge evaluates the answers of two routers, one of which has no record.
func ExampleJudge() {
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		log.Fatal(err)
	}
	rec, err := ipns.Sign(context.Background(), ipns.NewSigner(key), ipns.Fields{
		Value: "/ipfs/bafkqaaa", Sequence: 3, EOL: time.Now().Add(time.Hour),
	}, ipns.V1V2)
	if err != nil {
		log.Fatal(err)
	}
	report := check.Judge(rec.Name(), []check.Source{
		{Network: check.Router, Source: "https://a.example", Found: rec},
		{Network: check.Router, Source: "https://b.example"},
	})
	fmt.Println(report.OK, report.Verdict)
	// Output: false 1 of 2 routers and gateways have it
}
