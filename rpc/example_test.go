package rpc_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/goipns/ipns/rpc"
)

type greetRequest struct {
	Whom string `arg:"whom"`
	Loud bool   `opt:"loud,l" help:"shout"`
}

type greeting struct{ Text string }

// A command is a value. A Mux runs it in this process, and over HTTP for a Client:
// the caller can't tell which.
func ExampleCommand() {
	greet := rpc.Command[greetRequest, greeting]{Info: rpc.Info{Path: "greet", Short: "Say hello"}}
	mux := new(rpc.Mux)
	rpc.Handle(mux, greet, rpc.One(func(_ context.Context, req greetRequest) (greeting, error) {
		if req.Loud {
			return greeting{"HELLO " + req.Whom}, nil
		}
		return greeting{"hello " + req.Whom}, nil
	}))
	server := httptest.NewServer(mux)
	defer server.Close()
	client, err := rpc.NewClient(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for _, caller := range []rpc.Caller{mux, client} {
		got, err := rpc.Do(context.Background(), caller, greet, greetRequest{Whom: "world", Loud: true})
		fmt.Println(got.Text, err)
	}
	// Output:
	// HELLO world <nil>
	// HELLO world <nil>
}
