package api

import (
	"encoding/base64"
	"io"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// routingCommands are the commands of this file.
var routingCommands = []rpc.Spec{
	RoutingGet, RoutingPut, RoutingFindPeer, RoutingFindProvs, RoutingProvide, RoutingReprovide, DHTQuery,
}

var (
	// RoutingGet: find the value of a key such as /ipns/k51….
	RoutingGet = rpc.Command[RoutingGetRequest, QueryEvent]{
		Info: rpc.Info{
			Path: "routing/get", Args: "<key>",
			Short:    "Find the value of a key such as /ipns/k51…",
			Examples: []string{`ipns routing get /ipns/$NAME > record.bin`},
		},
		Text:  RoutingGetRequest.Text,
		Exact: true,
	}
	// RoutingPut: put a value under a key.
	RoutingPut = rpc.Command[RoutingPutRequest, QueryEvent]{
		Info: rpc.Info{
			Path: "routing/put", Args: "<key> <file>",
			Short:    "Put a value under a key",
			Examples: []string{`ipns routing put /ipns/$NAME record.bin`},
		},
		Text: RoutingPutRequest.Text,
	}
	// RoutingFindPeer: find the addresses of a peer.
	RoutingFindPeer = rpc.Command[FindPeerRequest, QueryEvent]{
		Info: rpc.Info{
			Path: "routing/findpeer", Args: "<peer id>...",
			Short:    "Find the addresses of a peer",
			Examples: []string{`ipns routing findpeer $NODE`},
			Chunked:  true,
		},
		Text: FindPeerRequest.Text,
	}
	// RoutingFindProvs: find who has content.
	RoutingFindProvs = rpc.Command[FindProvsRequest, QueryEvent]{
		Info: rpc.Info{
			Path: "routing/findprovs", Args: "<cid>...",
			Short:    "Find who has content",
			Examples: []string{`ipns routing findprovs $CID`},
			Chunked:  true,
		},
		Text: FindProvsRequest.Text,
	}
	// RoutingProvide: tell the network that this node has the content.
	RoutingProvide = rpc.Command[ProvideRequest, QueryEvent]{
		Info: rpc.Info{
			Path: "routing/provide", Args: "<cid>...",
			Short:    "Tell the network that this node has the content, and wait for it",
			Examples: []string{`ipns routing provide $CID`},
			Chunked:  true,
		},
		Text: ProvideRequest.Text,
	}
	// RoutingReprovide: announce all content again.
	RoutingReprovide = rpc.Command[ReprovideRequest, rpc.Nothing]{
		Info: rpc.Info{
			Path:     "routing/reprovide",
			Aliases:  []string{"bitswap/reprovide"},
			Short:    "Announce all content again, with Provide.DHT.SweepEnabled=false",
			Examples: []string{`ipns routing reprovide`},
		},
	}
	// DHTQuery: find the servers closest to a peer id.
	DHTQuery = rpc.Command[DHTQueryRequest, QueryEvent]{
		Info: rpc.Info{
			Path: "dht/query", Args: "<peer id>...",
			Short:    "Find the servers of the DHT that are closest to a peer id",
			Examples: []string{`ipns dht query $NODE`},
			Chunked:  true,
		},
		Text: DHTQueryRequest.Text,
	}
)

// QueryEvent is an event of a search or a put. Which fields it has depends on Type.
type QueryEvent struct {
	Extra     string
	ID        string
	Responses []PeerAddrs
	Type      QueryType
}

// QueryType says what happened.
type QueryType int

// The types of events, with Kubo's numbers.
const (
	SendingQuery QueryType = iota // to ID
	PeerResponse                  // ID knows of Responses
	FinalPeer                     // ID, or Responses, is what was searched for
	QueryError                    // Extra
	Provider                      // Responses has one
	Value                         // Extra is the value, in base64
	AddingPeer                    // ID will be asked
	DialingPeer                   // ID is dialled
)

// PeerAddrs is a peer with its addresses.
type PeerAddrs struct {
	Addrs []string
	ID    string
}

// Verbose is the option to print each step.
type Verbose struct {
	Verbose bool `opt:"verbose,v" help:"print each step"`
}

// line prints an event as Kubo does: what the command is about by print, and in verbose
// mode each step.
func (v Verbose) line(e QueryEvent, print func(*strings.Builder) bool) string {
	var b strings.Builder
	if v.Verbose {
		display.Fprintf(&b, "%s: ", time.Now().Format("15:04:05.000"))
	}
	if print(&b) || !v.Verbose {
		return b.String()
	}
	switch e.Type {
	case SendingQuery:
		display.Fprintf(&b, "* querying %s\n", e.ID)
	case Value:
		display.Fprintf(&b, "got value: '%s'\n", e.Extra)
	case PeerResponse:
		display.Fprintf(&b, "* %s says use ", e.ID)
		for _, p := range e.Responses {
			display.Fprintf(&b, "%s ", p.ID)
		}
		display.Fprintln(&b)
	case QueryError:
		display.Fprintf(&b, "error: %s\n", e.Extra)
	case DialingPeer:
		display.Fprintf(&b, "dialing peer: %s\n", e.ID)
	case AddingPeer:
		display.Fprintf(&b, "adding peer to query: %s\n", e.ID)
	case FinalPeer:
	default:
		display.Fprintf(&b, "unrecognized event type: %d\n", e.Type)
	}
	return b.String()
}

// RoutingGetRequest asks the routing system for a raw value.
type RoutingGetRequest struct {
	Key string `arg:"key"`
}

// Text is the value, byte for byte.
func (RoutingGetRequest) Text(v QueryEvent) string {
	b, err := base64.StdEncoding.DecodeString(v.Extra)
	if err != nil {
		return ""
	}
	return string(b)
}

// RoutingPutRequest puts a raw value into the routing system.
type RoutingPutRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	Key          string    `arg:"key"`
	Value        io.Reader `file:"value-file,stdin"`
	AllowOffline bool      `opt:"allow-offline" help:"succeed once the value is stored here"`
}

// Text is the name that the value belongs to.
func (RoutingPutRequest) Text(e QueryEvent) string { return display.Sprintf("%s\n", e.ID) }

// FindPeerRequest searches for a peer.
type FindPeerRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	Peers []string `arg:"peerID"`
	Verbose
}

// Text is one address per line.
func (req FindPeerRequest) Text(e QueryEvent) string {
	return req.line(e, func(b *strings.Builder) bool {
		if e.Type == FinalPeer && len(e.Responses) > 0 {
			for _, a := range e.Responses[0].Addrs {
				display.Fprintf(b, "%s\n", a)
			}
		}
		return e.Type == FinalPeer
	})
}

// FindProvsRequest searches for those who have content.
type FindProvsRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	CIDs []string `arg:"key"`
	Verbose
	Max int `opt:"num-providers,n" default:"20" help:"how many to search for"`
}

// Text is one peer id per line.
func (req FindProvsRequest) Text(e QueryEvent) string {
	return req.line(e, func(b *strings.Builder) bool {
		switch {
		case e.Type == FinalPeer && req.Verbose.Verbose:
			display.Fprintf(b, "* closest peer %s\n", e.ID)
		case e.Type == Provider && len(e.Responses) > 0 && req.Verbose.Verbose:
			display.Fprintf(b, "provider: %s\n", e.Responses[0].ID)
			for _, a := range e.Responses[0].Addrs {
				display.Fprintf(b, "\t%s\n", a)
			}
		case e.Type == Provider && len(e.Responses) > 0:
			display.Fprintf(b, "%s\n", e.Responses[0].ID)
		}
		return e.Type == FinalPeer || e.Type == Provider
	})
}

// ProvideRequest announces content.
type ProvideRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	CIDs []string `arg:"key,stdin"`
	Verbose
	Recursive bool `opt:"recursive,r" help:"announce every block below, too"`
}

// Text is nothing, but in verbose mode.
func (req ProvideRequest) Text(e QueryEvent) string {
	return req.line(e, func(b *strings.Builder) bool {
		if e.Type == FinalPeer && req.Verbose.Verbose {
			display.Fprintf(b, "sending provider record to peer %s\n", e.ID)
		}
		return e.Type == FinalPeer
	})
}

// ReprovideRequest announces all content again.
type ReprovideRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`
}

// DHTQueryRequest searches for the servers closest to a peer id.
type DHTQueryRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	Peers []string `arg:"peerID"`
	Verbose
}

// Text is one peer id per line.
func (req DHTQueryRequest) Text(e QueryEvent) string {
	return req.line(e, func(b *strings.Builder) bool {
		if e.Type == FinalPeer {
			display.Fprintf(b, "%s\n", e.ID)
		}
		return e.Type == FinalPeer
	})
}
