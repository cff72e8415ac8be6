// Command resolve prints what a name leads to.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/goipns/ipns/node"
)

func main() {
	n, err := node.Open(context.Background(), node.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	for answer, err := range n.Resolve(context.Background(), os.Args[1]) {
		if err != nil {
			log.Print(err)
			return
		}
		fmt.Println(answer.Path)
		break // the first valid answer will do: newer ones would follow
	}
}
