package api

import (
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// repoCommands are the commands of this file.
var repoCommands = []rpc.Spec{RepoStat, RepoGC, RepoVerify, RepoVersion, RepoLs, RepoDump, StatsRepo}

var (
	// RepoStat: show how large the repo is.
	RepoStat = rpc.Command[RepoStatRequest, RepoSizes]{
		Info: rpc.Info{
			Path:     "repo/stat",
			Short:    "Show how large the repo is",
			Examples: []string{`ipns repo stat --human`},
		},
		Text: RepoStatRequest.Text,
	}
	// StatsRepo: the same under Kubo's other name.
	StatsRepo = rpc.Command[RepoStatRequest, RepoSizes]{
		Info: rpc.Info{
			Path:     "stats/repo",
			Short:    "Show how large the repo is, as repo stat",
			Examples: []string{`ipns stats repo --size-only`},
		},
		Text: RepoStatRequest.Text,
	}
	// RepoGC: delete blocks that nothing needs.
	RepoGC = rpc.Command[RepoGCRequest, Removed]{
		Info: rpc.Info{
			Path:  "repo/gc",
			Short: "Delete blocks that nothing needs",
			Long: "Delete all blocks but those that are pinned, those that are being added, and\n" +
				"what the names of this node lead to, or led to until two days ago. If a pinned\n" +
				"tree cannot be read, nothing is deleted.",
			Examples: []string{`ipns repo gc`},
			Chunked:  true,
		},
		Text: RepoGCRequest.Text,
	}
	// RepoVerify: find and repair damage.
	RepoVerify = rpc.Command[RepoVerifyRequest, Finding]{
		Info: rpc.Info{
			Path:  "repo/verify",
			Short: "Find and repair damaged names and blocks",
			Long: "Read all that is stored of names and all blocks. --repair repairs names; damaged\n" +
				"blocks are deleted with --drop, and with --heal fetched again from others.",
			Examples: []string{`ipns repo verify`, `ipns repo verify --repair`},
			Chunked:  true,
		},
		Text: RepoVerifyRequest.Text,
	}
	// RepoVersion: print the version of the repo.
	RepoVersion = rpc.Command[RepoVersionRequest, RepoVersionNumber]{
		Info: rpc.Info{
			Path:     "repo/version",
			Short:    "Print the version of the repo",
			Examples: []string{`ipns repo version`},
		},
		Text: RepoVersionRequest.Text,
	}
	// RepoDump: write what the store has of names.
	RepoDump = rpc.Command[RepoDumpRequest, rpc.Stream]{
		Info: rpc.Info{
			Path:  "repo/dump",
			Short: "Write all that is stored of names as lines of JSON",
			Long: "Write all that is stored of names as lines of JSON: records with their history,\n" +
				"marks, rows, and the list of pins. Keys are not in it, but secrets of webhooks\n" +
				"are. It is what 'ipns backup' takes from a running daemon. The last line is an\n" +
				"End; what comes without it is not whole.",
			Examples: []string{`ipns repo dump`},
		},
	}
	// RepoLs: list all blocks that are here.
	RepoLs = rpc.Command[RefsLocalRequest, Ref]{
		Info: rpc.Info{
			Path:     "repo/ls",
			Short:    "List all blocks that are here, as refs local",
			Examples: []string{`ipns repo ls`},
			Chunked:  true,
		},
		Text: func(_ RefsLocalRequest, r Ref) string { return r.line() },
	}
)

// RepoDumpRequest asks for all that is stored of names.
type RepoDumpRequest struct{}

// RepoStatRequest asks how large the repo is.
type RepoStatRequest struct {
	SizeOnly bool `opt:"size-only,s" help:"leave out what takes long to count"`
	Human    bool `opt:"human,H" help:"print sizes with their units"`
}

// RepoSizes is how large the repo is.
type RepoSizes struct {
	RepoSize   uint64 // in bytes
	StorageMax uint64 // in bytes: Datastore.StorageMax of the config
	NumObjects uint64 // blocks
	RepoPath   string
	Version    string
}

// Text is one line a figure.
func (req RepoStatRequest) Text(s RepoSizes) string {
	size := func(n uint64) string {
		if req.Human {
			return humanize.Bytes(n)
		}
		return display.Sprintf("%d", n)
	}
	if req.SizeOnly {
		return display.Sprintf("RepoSize:   %s\nStorageMax: %s\n", size(s.RepoSize), size(s.StorageMax))
	}
	return display.Sprintf("NumObjects: %d\nRepoSize:   %s\nStorageMax: %s\nRepoPath:   %s\nVersion:    %s\n",
		s.NumObjects, size(s.RepoSize), size(s.StorageMax), s.RepoPath, s.Version)
}

// RepoGCRequest deletes blocks.
type RepoGCRequest struct {
	StreamErrors bool `opt:"stream-errors" help:"print each error as it occurs"`
	Quiet        bool `opt:"quiet,q" help:"print CIDs only"`
	Silent       bool `opt:"silent" help:"print nothing"`
}

// Removed is a block that was deleted or, with --stream-errors, an error.
type Removed struct {
	Key   cid.Cid // as a raw block
	Error string  `json:",omitempty"`
}

// Text is one line a block.
func (req RepoGCRequest) Text(r Removed) string {
	switch {
	case req.Silent:
		return ""
	case r.Error != "":
		return display.Sprintf("Error: %s\n", r.Error)
	case req.Quiet:
		return display.Sprintf("%s\n", r.Key)
	}
	return display.Sprintf("removed %s\n", r.Key)
}

// RepoVerifyRequest reads and verifies everything stored about names, and all blocks.
type RepoVerifyRequest struct {
	Repair      bool          `opt:"repair" help:"repair damaged names"`
	Drop        bool          `opt:"drop" help:"delete damaged blocks"`
	Heal        bool          `opt:"heal" help:"delete damaged blocks and fetch them again"`
	HealTimeout time.Duration `opt:"heal-timeout" default:"30s" help:"how long to try to fetch a block; 0 is without limit"`
}

// Finding is one damage, how many blocks were read, or the end of the check.
type Finding struct {
	Msg      string
	Progress int    // blocks read so far
	Name     string `json:",omitempty"` // the name of the damaged entry, if its key is here
	Repaired bool   `json:",omitempty"`
}

// Text is the message.
func (RepoVerifyRequest) Text(f Finding) string {
	if f.Msg == "" {
		return ""
	}
	return display.Sprintf("%s\n", f.Msg)
}

// RepoVersionRequest asks for the version of the repo.
type RepoVersionRequest struct {
	Quiet bool `opt:"quiet,q" help:"print less"`
}

// RepoVersionNumber is the version of the repo.
type RepoVersionNumber struct{ Version string }

// Text is one line.
func (req RepoVersionRequest) Text(v RepoVersionNumber) string {
	version := display.Sprintf("fs-repo@%s\n", strings.TrimSpace(v.Version))
	if req.Quiet {
		return version
	}
	return "ipfs repo version " + version
}
