package node_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/goipns/ipns/node"
)

// A node that opens no host: what it knows, it has on disk.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "node-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	n, err := node.Open(context.Background(), node.Config{Dir: filepath.Join(dir, "repo"), Offline: true})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	keys, err := n.Keys.List()
	fmt.Println(len(keys), keys[0].Label, err)
	// Output: 1 self <nil>
}
