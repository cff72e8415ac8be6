// Command sign-offline makes a key and a record for it, on a machine that needs no
// network, and opens the record again as everybody else will.
//
// It writes the record to standard output; hand the file to a machine that has a
// network, for example with "ipns name put".
//
//	go run ./examples/sign-offline /ipfs/bafkqaaa > my.ipns-record
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/goipns/ipns"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sign-offline:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("want one argument, the path to publish, such as /ipfs/bafkqaaa")
	}
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		return err
	}
	// A year, since nobody will come back to renew it. Keep the key
	// (ipns.ExportKey) to publish another value one day, with a higher sequence.
	record, err := ipns.Sign(ctx, ipns.NewSigner(key), ipns.Fields{
		Value: args[0],
		EOL:   time.Now().AddDate(1, 0, 0),
		TTL:   ipns.DefaultTTL,
	}, ipns.V1V2)
	if err != nil {
		return err
	}

	// This is all that a reader has: a name, and bytes from anywhere.
	opened, err := ipns.Open(record.Name(), record.Raw(), time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "ipns://%s\nmeans %s until %s\n", opened.Name(), opened.Value(), opened.EOL().Format(time.DateOnly))
	_, err = out.Write(opened.Raw())
	return err
}
