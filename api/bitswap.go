package api

import (
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// bitswapCommands are the commands of this file.
var bitswapCommands = []rpc.Spec{BitswapStat, BitswapWantlist, BitswapLedger}

var (
	// BitswapStat: show how much was exchanged.
	BitswapStat = rpc.Command[BitswapStatRequest, BitswapStats]{
		Info: rpc.Info{
			Path:     "bitswap/stat",
			Aliases:  []string{"stats/bitswap"},
			Short:    "Show how much was exchanged with other nodes",
			Examples: []string{`ipns bitswap stat`},
		},
		Text: BitswapStatRequest.Text,
	}
	// BitswapWantlist: list the blocks that are wanted.
	BitswapWantlist = rpc.Command[BitswapWantlistRequest, Wantlist]{
		Info: rpc.Info{
			Path:     "bitswap/wantlist",
			Short:    "List the blocks that this node, or another, waits for",
			Examples: []string{`ipns bitswap wantlist`},
		},
		Text: BitswapWantlistRequest.Text,
	}
	// BitswapLedger: show how much was exchanged with a peer.
	BitswapLedger = rpc.Command[BitswapLedgerRequest, Ledger]{
		Info: rpc.Info{
			Path: "bitswap/ledger", Args: "<peer id>",
			Short:    "Show how much was exchanged with a peer",
			Examples: []string{`ipns bitswap ledger $NODE`},
		},
		Text: BitswapLedgerRequest.Text,
	}
)

// BitswapStatRequest asks for the sums.
type BitswapStatRequest struct {
	CIDBase
	Verbose bool `opt:"verbose,v" help:"print the partners too"`
	Human   bool `opt:"human" help:"print sizes with units"`
}

// BitswapStats are the sums since the start.
type BitswapStats struct {
	Wantlist                         []cid.Cid
	Peers                            []string
	BlocksReceived, DataReceived     uint64
	DupBlksReceived, DupDataReceived uint64
	MessagesReceived                 uint64
	BlocksSent, DataSent             uint64
}

// Text is one sum a line.
func (req BitswapStatRequest) Text(s BitswapStats) string {
	e, err := req.Encoder()
	if err != nil {
		return ""
	}
	size := func(n uint64) string {
		if req.Human {
			return humanize.Bytes(n)
		}
		return display.Sprintf("%d", n)
	}
	var b strings.Builder
	display.Fprintf(&b, "bitswap status\n\tblocks received: %d\n\tblocks sent: %d\n\tdata received: %s\n\tdata sent: %s\n",
		s.BlocksReceived, s.BlocksSent, size(s.DataReceived), size(s.DataSent))
	display.Fprintf(&b, "\tdup blocks received: %d\n\tdup data received: %s\n\twantlist [%d keys]\n", s.DupBlksReceived, size(s.DupDataReceived), len(s.Wantlist))
	for _, c := range s.Wantlist {
		display.Fprintf(&b, "\t\t%s\n", e.Encode(c))
	}
	display.Fprintf(&b, "\tpartners [%d]\n", len(s.Peers))
	if req.Verbose {
		b.WriteString(lines("\t\t", s.Peers, ""))
	}
	return b.String()
}

// BitswapWantlistRequest asks for a list of wanted blocks.
type BitswapWantlistRequest struct {
	CIDBase
	Peer string `opt:"peer,p" help:"the peer whose list is wanted; without it, this node's"`
}

// Wantlist are wanted blocks.
type Wantlist struct{ Keys []cid.Cid }

// Text is one CID a line, in the order of their bytes.
func (req BitswapWantlistRequest) Text(w Wantlist) string {
	e, err := req.Encoder()
	if err != nil {
		return ""
	}
	slices.SortFunc(w.Keys, func(a, b cid.Cid) int { return strings.Compare(a.KeyString(), b.KeyString()) })
	var b strings.Builder
	for _, c := range w.Keys {
		display.Fprintf(&b, "%s\n", e.Encode(c))
	}
	return b.String()
}

// BitswapLedgerRequest asks for the ledger of a peer.
type BitswapLedgerRequest struct {
	Peer string `arg:"peer"`
}

// Ledger is how much was exchanged with a peer.
type Ledger struct {
	Peer       string
	Value      float64 // what was sent for each byte received
	Sent, Recv uint64  // bytes
	Exchanged  uint64  // blocks
}

// Text is one value a line.
func (BitswapLedgerRequest) Text(l Ledger) string {
	return display.Sprintf("Ledger for %s\nDebt ratio:\t%f\nExchanges:\t%d\nBytes sent:\t%d\nBytes received:\t%d\n\n", l.Peer, l.Value, l.Exchanged, l.Sent, l.Recv)
}
