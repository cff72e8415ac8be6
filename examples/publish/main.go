// Command publish publishes a path under a key that is made for it, and prints its name.
//
//	publish [-offline] LABEL /ipfs/CID
//
// Publishing again under the same label replaces what the name means.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/publisher"
)

func main() {
	offline := flag.Bool("offline", false, "only store it")
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(1)
	}
	if err := run(context.Background(), node.Config{Offline: *offline}, flag.Arg(0), flag.Arg(1), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c node.Config, label, path string, out io.Writer) (err error) {
	n, err := node.Open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	// The keys are a part of the node, as are the Book of names and the rest.
	if _, err := n.Keys.Create(ctx, label, ipns.Ed25519, 0); err != nil && !errors.Is(err, keystore.ErrExist) {
		return err
	}
	res, err := n.Publish(ctx, label, publisher.Request{Value: path})
	if err != nil {
		return err // that it is stored but announced to too few is a *publisher.NotAnnouncedError
	}
	took, of := res.Receipt.Announced()
	_, err = fmt.Fprintf(out, "%s is %s, sequence %d, announced to %d of %d\n", res.Record.Name(), res.Record.Value(), res.Record.Sequence(), took, of)
	return err
}
