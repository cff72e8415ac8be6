package api

import (
	"errors"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// refsCommands are the commands of this file.
var refsCommands = []rpc.Spec{Refs, RefsLocal, Resolve}

var (
	// Refs: list the links of blocks.
	Refs = rpc.Command[RefsRequest, Ref]{
		Info: rpc.Info{
			Path: "refs", Args: "<ipfs-path>...",
			Short:    "List the links of blocks",
			Examples: []string{`ipns refs $CID`, `ipns refs --recursive --unique $CID`},
			Chunked:  true,
		},
		Text:  func(_ RefsRequest, r Ref) string { return r.line() },
		Check: func(_ RefsRequest, r Ref) error { return r.failed() },
	}
	// RefsLocal: list all blocks that are here.
	RefsLocal = rpc.Command[RefsLocalRequest, Ref]{
		Info: rpc.Info{
			Path:     "refs/local",
			Short:    "List all blocks that are here",
			Long:     "List all blocks that are here, as CIDs of raw blocks.",
			Examples: []string{`ipns refs local`},
			Chunked:  true,
		},
		Text: func(_ RefsLocalRequest, r Ref) string { return r.line() },
	}
	// Resolve: follow a path to its end.
	Resolve = rpc.Command[PathRequest, Resolved]{
		Info: rpc.Info{
			Path: "resolve", Args: "<name>",
			Short:    "Follow a path to its end",
			Long:     "Follow a path through names, domains, folders and data to the block in which it\nends. 'ipns name resolve' says more about names.",
			Examples: []string{`ipns resolve /ipfs/$CID/index.html`, `ipns resolve /ipns/$NAME`},
		},
		Text: func(_ PathRequest, r Resolved) string { return display.Sprintf("%s\n", r.Path) },
	}
)

// RefsRequest lists the links of blocks.
type RefsRequest struct {
	CIDBase
	Paths     []string `arg:"ipfs-path,stdin"`
	Format    string   `opt:"format" default:"<dst>" help:"what to print: <src> <dst> <linkname>"`
	Edges     bool     `opt:"edges,e" help:"print both ends of each link"`
	Unique    bool     `opt:"unique,u" help:"print each block once"`
	Recursive bool     `opt:"recursive,r" help:"list what is below the links too"`
	MaxDepth  int      `opt:"max-depth" default:"-1" help:"how many levels to list with --recursive; -1 for all"`
}

// edgeFormat is that of --edges.
const edgeFormat = "<src> -> <dst>"

// PathRequest follows a path.
type PathRequest struct {
	CIDBase
	Name        string        `arg:"name,stdin"`
	Recursive   bool          `opt:"recursive,r" default:"true" help:"follow names that lead to names"`
	RecordCount *uint         `opt:"dht-record-count,dhtrc" help:"accepted for compatibility"`
	Timeout     time.Duration `opt:"dht-timeout,dhtt" default:"1m" help:"how long to search for each name; 0 is without limit"`
}

// Layout returns the format of a line.
func (req RefsRequest) Layout() (string, error) {
	switch {
	case !req.Edges:
		return req.Format, nil
	case req.Format != "<dst>":
		return "", errors.New("using format argument with edges is not allowed")
	}
	return edgeFormat, nil
}

// RefsLocalRequest lists blocks.
type RefsLocalRequest struct{ CIDBase }

// Ref is one line, or why a tree cannot be listed to its end.
type Ref struct{ Ref, Err string }

func (r Ref) failed() error {
	if r.Err == "" {
		return nil
	}
	return errors.New(r.Err)
}

func (r Ref) line() string { return display.Sprintf("%s\n", r.Ref) }
