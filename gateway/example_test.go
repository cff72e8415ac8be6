package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/gateway"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
)

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

// A gateway is an http.Handler for content and names.
func ExampleNew() {
	ctx := context.Background()
	fs := vfs.NewMem()
	db, err := pebble.Open("db", &pebble.Options{FS: fs, Logger: quiet{}})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := content.Open(ctx, content.Options{DB: db, Dir: "db", FS: fs})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	var cid string
	for a, err := range store.Add(ctx, content.FromReader("hello.txt", strings.NewReader("hello\n")), content.AddOptions{CIDVersion: 1}) {
		if err != nil {
			log.Fatal(err)
		}
		cid = a.CID.String()
	}
	names := &resolver.Resolver{Book: &names.Book{Store: recordstore.NewMemory()}}
	defer names.Close()
	h, err := gateway.New(gateway.Options{Content: store, Names: names, NoFetch: true})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	resp, err := server.Client().Get(server.URL + "/ipfs/" + cid)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Printf("%s %q %v\n", resp.Status, body, err)
	// Output: 200 OK "hello\n" <nil>
}
