package content_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns/content"
)

func ExampleStore_Add() {
	ctx := context.Background()
	fs := vfs.NewMem()
	db, err := pebble.Open("db", &pebble.Options{FS: fs})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := content.Open(ctx, content.Options{DB: db, Dir: "db", FS: fs}) // no host: offline
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	file := content.FromReader("hello.txt", strings.NewReader("hello\n"))
	for added, err := range store.Add(ctx, file, content.AddOptions{CIDVersion: 1, Wrap: true, Pin: true}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %q\n", added.CID, added.Name)
		if added.Root { // now it is on disk
			r, err := store.Cat(ctx, added.CID.String()+"/hello.txt")
			if err != nil {
				log.Fatal(err)
			}
			io.Copy(os.Stdout, r)
			r.Close()
		}
	}
	// Output:
	// bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am "hello.txt"
	// bafybeigdcg7pksx2zk5336vrfsktjodlr4rbfz37qr3koc5xboxe5ekv24 ""
	// hello
}
