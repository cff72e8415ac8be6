package rpc

import (
	"encoding/base64"
	"io"
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

// Text is nothing: the value was taken.
func (RoutingPutRequest) Text(RoutingValue) string { return "" }

// RoutingValue is a routing event: Type 5 is a value, in Extra as base64.
type RoutingValue struct {
	Extra     string
	ID        string
	Responses []string
	Type      int
}

// Exact says that Text is for programs, and not to be escaped.
func (RoutingGetRequest) Exact() {}

// Text is the value, byte for byte.
func (RoutingGetRequest) Text(v RoutingValue) string {
	b, err := base64.StdEncoding.DecodeString(v.Extra)
	if err != nil {
		return ""
	}
	return string(b)
}
