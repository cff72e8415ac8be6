package api_test

import (
	"context"
	"fmt"
	"log"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/verbs"
	"github.com/goipns/ipns/rpc"
)

// A command runs on a Mux in this process or, by rpc.NewClient, on a daemon.
func Example() {
	got, err := rpc.Do(context.Background(), verbs.Mux(nil), api.Version, rpc.New[api.VersionRequest]())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(got.Version != "", got.Repo)
	// Output: true 2
}
