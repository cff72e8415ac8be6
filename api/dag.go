package api

import (
	"fmt"
	"path"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// dagCommands are the commands of this file.
var dagCommands = []rpc.Spec{DagGet, DagPut, DagResolve, DagStat, DagExport, DagImport}

var (
	// DagGet: print data.
	DagGet = rpc.Command[DagGetRequest, rpc.Stream]{
		Info: rpc.Info{
			Path: "dag/get", Args: "<ref>",
			Short:    "Print the data at a path",
			Examples: []string{`ipns dag get $CID`, `ipns dag get --output-codec=dag-cbor $CID > data.cbor`},
		},
	}
	// DagPut: store data.
	DagPut = rpc.Command[DagPutRequest, DagNode]{
		Info: rpc.Info{
			Path: "dag/put", Args: "<object data>...",
			Short:    "Store data, each file as one block",
			Examples: []string{`echo '{"hello": "world"}' | ipns dag put`},
			Chunked:  true,
		},
		Text: DagPutRequest.Text,
	}
	// DagResolve: show which block a path leads to.
	DagResolve = rpc.Command[DagResolveRequest, DagPath]{
		Info: rpc.Info{
			Path: "dag/resolve", Args: "<ref>",
			Short:    "Show which block a path leads to",
			Examples: []string{`ipns dag resolve /ipfs/$CID/index.html`},
		},
		Text: DagResolveRequest.Text,
	}
	// DagStat: count the blocks of trees.
	DagStat = rpc.Command[DagStatRequest, DagStats]{
		Info: rpc.Info{
			Path: "dag/stat", Args: "<root>...",
			Short:    "Count the blocks of trees and their bytes",
			Examples: []string{`ipns dag stat $CID`},
			Chunked:  true,
		},
		Text: DagStatRequest.Text,
	}
	// DagExport: print a tree as a CAR file.
	DagExport = rpc.Command[DagExportRequest, rpc.Stream]{
		Info: rpc.Info{
			Path: "dag/export", Args: "<root>",
			Short:    "Print a tree as a CAR file",
			Examples: []string{`ipns dag export $CID > site.car`},
		},
	}
	// DagImport: store the blocks of CAR files.
	DagImport = rpc.Command[DagImportRequest, DagImported]{
		Info: rpc.Info{
			Path: "dag/import", Args: "<path>...",
			Short:    "Store the blocks of CAR files, and pin their roots",
			Long:     "Store all blocks of CAR files, version 1 or 2, and pin the roots that their\nheaders name. The blocks below a root may be spread over several files; a root\nwhose blocks are not all here afterwards is not pinned, which is an error.",
			Examples: []string{`ipns dag import site.car`},
			Chunked:  true,
		},
		Text:  DagImportRequest.Text,
		Check: DagImportRequest.check,
	}
)

// DagGetRequest reads data.
type DagGetRequest struct {
	Path  string `arg:"ref,stdin"`
	Codec string `opt:"output-codec" default:"dag-json" help:"multicodec in which the data is printed"`
}

// DagPutRequest stores data.
type DagPutRequest struct {
	Files
	CIDBase
	StoreCodec string `opt:"store-codec" default:"dag-cbor" help:"multicodec in which the data is stored"`
	InputCodec string `opt:"input-codec" default:"dag-json" help:"multicodec in which the data is given"`
	Pin        bool   `opt:"pin" help:"pin it, and what it leads to"`
	Hash       string `opt:"hash" default:"sha2-256" help:"hash function"`
	AllowBig   bool   `opt:"allow-big-block" help:"make blocks over 2 MiB, which other nodes don't fetch"`
}

// DagNode is a block that was stored.
type DagNode struct{ Cid cid.Cid }

// Text is one CID a line.
func (req DagPutRequest) Text(n DagNode) string {
	return display.Sprintf("%s\n", req.Write(n.Cid))
}

// DagResolveRequest follows a path.
type DagResolveRequest struct {
	CIDBase
	Path string `arg:"ref,stdin"`
}

// DagPath is the block that a path leads to, and what leads on inside of it.
type DagPath struct {
	Cid     cid.Cid
	RemPath string
}

// Text is the CID in the base of the path, and the rest. No line end follows, as
// with Kubo.
func (req DagResolveRequest) Text(p DagPath) string {
	e, err := req.EncoderFor(req.Path)
	if err != nil {
		return ""
	}
	return display.Sprintf("%s", path.Join(e.Encode(p.Cid), p.RemPath))
}

// firstCID returns the element of a path that is its CID, if it has one.
func firstCID(p string) string {
	parts := strings.SplitN(p, "/", 4)
	switch {
	case parts[0] != "":
		return parts[0]
	case len(parts) > 2:
		return parts[2]
	}
	return ""
}

// DagStatRequest counts blocks.
type DagStatRequest struct {
	CIDBase
	Paths    []string `arg:"root,stdin"`
	Progress bool     `opt:"progress,p" default:"true" help:"report how far it is"`
}

// DagStats sums up trees: with Ratio 0 how far it is, else the end.
type DagStats struct {
	UniqueBlocks int       `json:",omitempty"`
	TotalSize    uint64    `json:",omitempty"` // in bytes, each block once
	SharedSize   uint64    `json:",omitempty"` // in bytes, of blocks that more than one tree has
	Ratio        float32   `json:",omitempty"` // of the sum of the trees to TotalSize
	DagStats     []DagTree `json:",omitempty"`
}

// DagTree is one tree.
type DagTree struct {
	Cid       string
	Size      uint64 `json:",omitempty"` // in bytes
	NumBlocks int64  `json:",omitempty"`
}

// Text is a table and a summary, once all is counted.
func (DagStatRequest) Text(s DagStats) string {
	if s.Ratio == 0 || len(s.DagStats) == 0 {
		return ""
	}
	var b strings.Builder
	display.Fprintf(&b, "\n%s\t%-15s\tSize\n", "CID"+strings.Repeat(" ", max(len(s.DagStats[0].Cid)-len("CID"), 0)), "Blocks")
	for _, d := range s.DagStats {
		display.Fprintf(&b, "%s\t%-15s\t%d\n", d.Cid, fmt.Sprint(d.NumBlocks), d.Size)
	}
	display.Fprintf(&b, "\nSummary\nTotal Size: %d (%s)\nUnique Blocks: %d\nShared Size: %d (%s)\nRatio: %f\n\n\n",
		s.TotalSize, humanize.Bytes(s.TotalSize), s.UniqueBlocks, s.SharedSize, humanize.Bytes(s.SharedSize), s.Ratio)
	return b.String()
}

// DagImportRequest stores the blocks of CAR files.
type DagImportRequest struct {
	Files
	CIDBase
	FastProvide
	PinRoots  *bool `opt:"pin-roots" help:"pin the roots that the headers name (default true)"`
	LocalOnly bool  `opt:"local-only" help:"the files hold a part of a tree: pin nothing"`
	Silent    bool  `opt:"silent" help:"print nothing"`
	Stats     bool  `opt:"stats" help:"print how much was stored"`
	AllowBig  bool  `opt:"allow-big-block" help:"take blocks over 2 MiB, which other nodes don't fetch"`
}

// DagImported is a root, or at the end what was stored.
type DagImported struct {
	Root  *DagRoot        `json:",omitempty"`
	Stats *DagImportStats `json:",omitempty"`
}

// DagRoot is a root that was pinned or, with PinErrorMsg set, was not.
type DagRoot struct {
	Cid         cid.Cid
	PinErrorMsg string
}

// DagImportStats is how much was stored.
type DagImportStats struct{ BlockCount, BlockBytesCount uint64 }

func (req DagImportRequest) check(i DagImported) error {
	if i.Root == nil || i.Root.PinErrorMsg == "" || req.Silent {
		return nil
	}
	return fmt.Errorf("pinning root %q FAILED: %s", req.Write(i.Root.Cid), i.Root.PinErrorMsg)
}

// Text is one line a root.
func (req DagImportRequest) Text(i DagImported) string {
	switch {
	case req.Silent:
		return ""
	case i.Root != nil:
		return display.Sprintf("Pinned root\t%s\tsuccess\n", req.Write(i.Root.Cid))
	case i.Stats != nil && req.Stats:
		return display.Sprintf("Imported %d blocks (%d bytes)\n", i.Stats.BlockCount, i.Stats.BlockBytesCount)
	}
	return ""
}

// DagExportRequest reads a tree.
type DagExportRequest struct {
	Path      string `arg:"root,stdin"`
	Offline   *bool  `opt:"offline" help:"ask no other node for blocks"`
	LocalOnly bool   `opt:"local-only" help:"leave out blocks that are not here, and what only they lead to"`
	Progress  bool   `opt:"progress,p" help:"accepted for compatibility"`
}
