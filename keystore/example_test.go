package keystore_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
)

// A key is found by its label or by its name, even after it was renamed.
func ExampleKeyring() {
	dir, err := os.MkdirTemp("", "keys-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := keystore.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	self, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		log.Fatal(err)
	}
	name, err := ipns.NameOf(self.GetPublic())
	if err != nil {
		log.Fatal(err)
	}
	keys := keystore.NewKeyring(store, name, self)
	blog, err := keys.Create(context.Background(), "blog", ipns.Ed25519, 0)
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err := keys.Rename("blog", "journal", false); err != nil {
		log.Fatal(err)
	}
	found, err := keys.Find(context.Background(), blog.Name.String())
	fmt.Println(found.Label, err)
	// Output: journal <nil>
}
