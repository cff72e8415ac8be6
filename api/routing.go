package api

import (
	"encoding/base64"
	"io"

	"github.com/goipns/ipns/rpc"
)

// routingCommands are the commands of this file.
var routingCommands = []rpc.Spec{RoutingGet, RoutingPut, RoutingProvide}

var (
	// RoutingGet: find the value of a key such as /ipns/k51….
	RoutingGet = rpc.Command[RoutingGetRequest, RoutingValue]{
		Info: rpc.Info{
			Path: "routing/get", Args: "<key>",
			Short:    "Find the value of a key such as /ipns/k51…",
			Examples: []string{`ipns routing get /ipns/$NAME > record.bin`},
		},
		Text:  RoutingGetRequest.Text,
		Exact: true,
	}
	// RoutingPut: put a value under a key.
	RoutingPut = rpc.Command[RoutingPutRequest, RoutingValue]{
		Info: rpc.Info{
			Path: "routing/put", Args: "<key> <file>",
			Short:    "Put a value under a key",
			Examples: []string{`ipns routing put /ipns/$NAME record.bin`},
		},
		Text: RoutingPutRequest.Text,
	}
	// RoutingProvide: tell the network that this node has the content.
	RoutingProvide = rpc.Command[ProvideRequest, Provided]{
		Info: rpc.Info{
			Path: "routing/provide", Args: "<cid>...",
			Short:    "Tell the network that this node has the content",
			Examples: []string{`ipns routing provide $CID`},
		},
		Text: ProvideRequest.Text,
	}
)

// RoutingGetRequest asks the routing system for a raw value.
type RoutingGetRequest struct {
	Key string `arg:"key"`
}

// RoutingPutRequest puts a raw value into the routing system.
type RoutingPutRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	Key          string    `arg:"key"`
	Value        io.Reader `file:"value-file,stdin"`
	AllowOffline bool      `opt:"allow-offline" help:"succeed once the value is stored here"`
}

// Text is empty: the value was stored.
func (RoutingPutRequest) Text(RoutingValue) string { return "" }

// RoutingValue is a routing event: Type 5 is a value, in Extra as base64.
type RoutingValue struct {
	Extra     string
	ID        string
	Responses []string
	Type      int
}

// Text is the value, byte for byte.
func (RoutingGetRequest) Text(v RoutingValue) string {
	b, err := base64.StdEncoding.DecodeString(v.Extra)
	if err != nil {
		return ""
	}
	return string(b)
}

// ProvideRequest announces content.
type ProvideRequest struct {
	_ struct{} `kubo:"recursive,r=false offline=false local,L=false"`

	CIDs []string `arg:"key"`
}

// Provided is the number of announced roots.
type Provided struct{ Provided int }

// Text is nothing.
func (ProvideRequest) Text(Provided) string { return "" }
