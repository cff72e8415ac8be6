// Command custom-router shares names through a folder, say on a network drive, instead of
// a DHT: each record is a file there. It shows what a routing.Router has to do.
//
//	custom-router FOLDER              prints the names that the folder has
//	custom-router FOLDER /ipfs/CID    publishes
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/publisher"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "custom-router FOLDER [/ipfs/CID]")
		os.Exit(1)
	}
	if err := run(context.Background(), "", os.Args[1], os.Args[2:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run works on the repo in dir; "" is the default one.
func run(ctx context.Context, dir, shared string, paths []string, out io.Writer) (err error) {
	n, err := node.Open(ctx, node.Config{Dir: dir, Offline: true, Router: &folder{dir: shared}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	for _, path := range paths {
		res, err := n.Publish(ctx, "self", publisher.Request{Value: path, Wait: publisher.WaitAll})
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "published", res.Record.Name())
	}
	files, err := os.ReadDir(shared)
	if err != nil {
		return err
	}
	for _, f := range files { // each is called like its name
		for answer, err := range n.Resolve(ctx, f.Name()) {
			if err != nil {
				return err
			}
			fmt.Fprintln(out, f.Name(), answer.Path)
		}
	}
	return nil
}
