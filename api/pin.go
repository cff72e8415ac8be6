package api

import (
	"slices"
	"strings"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// pinCommands are the commands of this file.
var pinCommands = []rpc.Spec{PinAdd, PinRm, PinLs}

var (
	// PinAdd: pin content, fetching what is missing.
	PinAdd = rpc.Command[PinAddRequest, Pins]{
		Info: rpc.Info{
			Path: "pin/add", Args: "<path>...",
			Short:    "Pin content, fetching what is missing",
			Examples: []string{`ipns pin add /ipfs/$CID`},
		},
		Text: PinAddRequest.Text,
	}
	// PinRm: unpin content.
	PinRm = rpc.Command[PinRemoveRequest, Pins]{
		Info: rpc.Info{
			Path: "pin/rm", Args: "<path>...",
			Short:    "Unpin content",
			Examples: []string{`ipns pin rm /ipfs/$CID`},
		},
		Text: PinRemoveRequest.Text,
	}
	// PinLs: list pinned content.
	PinLs = rpc.Command[PinListRequest, PinListing]{
		Info: rpc.Info{
			Path: "pin/ls", Args: "[<path>...]",
			Short:    "List pinned content",
			Examples: []string{`ipns pin ls --type=recursive`, `ipns pin ls --names`},
		},
		Text: PinListRequest.Text,
	}
)

// PinAddRequest keeps content.
type PinAddRequest struct {
	_ struct{} `kubo:"fast-provide-dag=false fast-provide-wait=false cid-base upgrade-cidv0-in-output=false offline=false local,L=false"`

	Paths     []string `arg:"ipfs-path,stdin"`
	Recursive bool     `opt:"recursive,r" default:"true" help:"pin everything below the root too"`
	Name      string   `opt:"name,n" help:"name of the pin"`
	Progress  bool     `opt:"progress" help:"accepted for compatibility"`
}

// Pins are the roots that were pinned or unpinned.
type Pins struct{ Pins []string }

// Text is one line a root.
func (req PinAddRequest) Text(p Pins) string {
	if !req.Recursive {
		return lines("pinned ", p.Pins, " directly")
	}
	return lines("pinned ", p.Pins, " recursively")
}

// PinRemoveRequest stops keeping content.
type PinRemoveRequest struct {
	_ struct{} `kubo:"cid-base upgrade-cidv0-in-output=false"`

	Paths     []string `arg:"ipfs-path,stdin"`
	Recursive bool     `opt:"recursive,r" default:"true" help:"the pin is recursive"`
}

// Text is one line a root.
func (PinRemoveRequest) Text(p Pins) string { return lines("unpinned ", p.Pins, "") }

// PinListRequest asks what is kept.
type PinListRequest struct {
	_ struct{} `kubo:"cid-base upgrade-cidv0-in-output=false"`

	Paths  []string `arg:"ipfs-path,optional"`
	Type   string   `opt:"type,t" default:"all" help:"direct, indirect, recursive or all"`
	Quiet  bool     `opt:"quiet,q" help:"print CIDs only"`
	Name   string   `opt:"name,n" help:"only pins whose name contains this"`
	Stream bool     `opt:"stream,s" chunked:"true" help:"print pins as they are found"`
	Names  bool     `opt:"names" help:"print the names of the pins too"`
}

// PinListing is all pins, or one pin of a stream.
type PinListing struct {
	Keys map[string]PinType `json:",omitempty"`
	Cid  string             `json:",omitempty"`
	Type string             `json:",omitempty"`
	Name string             `json:",omitempty"`
}

// PinType is the type of a pin.
type PinType struct{ Type, Name string }

// Text is one line a pin.
func (req PinListRequest) Text(l PinListing) string {
	if l.Cid != "" {
		return req.line(l.Cid, l.Type, l.Name)
	}
	var lines []string
	for c, p := range l.Keys {
		lines = append(lines, req.line(c, p.Type, p.Name))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func (req PinListRequest) line(cid, kind, name string) string {
	switch {
	case req.Quiet:
		return display.Sprintf("%s\n", cid)
	case name == "":
		return display.Sprintf("%s %s\n", cid, kind)
	}
	return display.Sprintf("%s %s %s\n", cid, kind, name)
}
