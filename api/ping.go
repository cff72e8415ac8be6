package api

import (
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// pingCommands are the commands of this file.
var pingCommands = []rpc.Spec{Ping}

// Ping: measure how far away a peer is.
var Ping = rpc.Command[PingRequest, Pong]{
	Info: rpc.Info{
		Path: "ping", Args: "<peer id>...",
		Short:    "Measure how long a message to a peer and back takes",
		Examples: []string{`ipns ping -n 2 $NODE`},
		Chunked:  true,
	},
	Text: PingRequest.Text,
}

// PingRequest pings a peer, given by its id or an address.
type PingRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	Peers []string `arg:"peer ID,stdin"`
	Count int      `opt:"count,n" default:"10" help:"how often"`
}

// Pong is one step: a text, or the time that an answer took.
type Pong struct {
	Success bool
	Time    time.Duration // nanoseconds
	Text    string
}

// Text is one line a step.
func (PingRequest) Text(p Pong) string {
	switch {
	case p.Text != "":
		return display.Sprintf("%s\n", p.Text)
	case p.Success:
		return display.Sprintf("Pong received: time=%.2f ms\n", p.Time.Seconds()*1000)
	}
	return "Pong failed\n"
}
