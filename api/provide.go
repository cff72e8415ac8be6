package api

import (
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// provideCommands are the commands of this file.
var provideCommands = []rpc.Spec{ProvideStat, ProvideOnce, ProvideClear}

var (
	// ProvideStat: show how content is announced.
	ProvideStat = rpc.Command[ProvideStatRequest, ProvideStats]{
		Info: rpc.Info{
			Path:     "provide/stat",
			Aliases:  []string{"stats/provide", "stats/reprovide"},
			Short:    "Show how content is announced",
			Examples: []string{`ipns provide stat`, `ipns provide stat --all --compact`},
		},
		Text:  ProvideStatRequest.Text,
		Check: ProvideStatRequest.check,
	}
	// ProvideOnce: announce content now, and not again.
	ProvideOnce = rpc.Command[ProvideOnceRequest, Queued]{
		Info: rpc.Info{
			Path: "provide/once", Args: "<cid>...",
			Short:    "Announce content now, whatever Provide.Strategy says, and not again",
			Examples: []string{`ipns provide once $CID`},
			Chunked:  true,
		},
		Text: ProvideOnceRequest.Text,
	}
	// ProvideClear: forget what waits to be announced.
	ProvideClear = rpc.Command[ProvideClearRequest, int]{
		Info: rpc.Info{
			Path:     "provide/clear",
			Short:    "Forget what waits to be announced for the first time",
			Examples: []string{`ipns provide clear`},
		},
		Text: ProvideClearRequest.Text,
	}
)

// ProvideOnceRequest announces content.
type ProvideOnceRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	CIDs      []string `arg:"cid,stdin"`
	Recursive bool     `opt:"recursive,r" help:"announce every block below, too"`
}

// Queued is a CID that will be announced as soon as possible.
type Queued struct{ Queued string }

// Text is one CID a line.
func (ProvideOnceRequest) Text(q Queued) string { return display.Sprintf("%s\n", q.Queued) }

// ProvideClearRequest forgets what waits.
type ProvideClearRequest struct {
	Quiet bool `opt:"quiet,q" help:"print nothing"`
}

// Text is how many CIDs waited.
func (req ProvideClearRequest) Text(n int) string {
	if req.Quiet {
		return ""
	}
	return display.Sprintf("removed %d items from provide queue\n", n)
}
