package api

import (
	"errors"
	"slices"
	"strings"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// pinCommands are the commands of this file.
var pinCommands = []rpc.Spec{PinAdd, PinRm, PinLs, PinUpdate, PinVerify}

var (
	// PinAdd: pin content, fetching what is missing.
	PinAdd = rpc.Command[PinAddRequest, Pinned]{
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
	// PinUpdate: move a pin to other content.
	PinUpdate = rpc.Command[PinUpdateRequest, Pins]{
		Info: rpc.Info{
			Path: "pin/update", Args: "<from-path> <to-path>",
			Short:    "Move a pin to other content",
			Long:     "Move a recursive pin, with its name, to a tree that has much in common with the\none that it is on: only what differs is fetched.",
			Examples: []string{`ipns pin update --unpin=false $CID $(echo changed | ipns add -Q --pin=false)`},
		},
		Text: PinUpdateRequest.Text,
	}
	// PinVerify: check that pinned content is here.
	PinVerify = rpc.Command[PinVerifyRequest, VerifiedPin]{
		Info: rpc.Info{
			Path:     "pin/verify",
			Short:    "Check that pinned content is here",
			Examples: []string{`ipns pin verify`, `ipns pin verify --verbose`},
			Chunked:  true,
		},
		Text: PinVerifyRequest.Text,
	}
)

// PinAddRequest keeps content.
type PinAddRequest struct {
	CIDBase
	FastProvide
	Paths     []string `arg:"ipfs-path,stdin"`
	Recursive bool     `opt:"recursive,r" default:"true" help:"pin everything below the root too"`
	Name      string   `opt:"name,n" help:"name of the pin"`
	Progress  bool     `opt:"progress" chunked:"true" help:"report how far it is"`
}

// Pinned are the roots that were pinned, or how far it is.
type Pinned struct {
	Pins     []string `json:",omitempty"`
	Progress int      `json:",omitempty"` // blocks seen
	Bytes    uint64   `json:",omitempty"` // of these
}

// Pins are the roots that were unpinned, or of which one has the pin of the other.
type Pins struct{ Pins []string }

// Text is one line a root.
func (req PinAddRequest) Text(p Pinned) string {
	if !req.Recursive {
		return lines("pinned ", p.Pins, " directly")
	}
	return lines("pinned ", p.Pins, " recursively")
}

// PinRemoveRequest stops keeping content.
type PinRemoveRequest struct {
	CIDBase
	Paths     []string `arg:"ipfs-path,stdin"`
	Recursive bool     `opt:"recursive,r" default:"true" help:"the pin is recursive"`
}

// Text is one line a root.
func (PinRemoveRequest) Text(p Pins) string { return lines("unpinned ", p.Pins, "") }

// PinUpdateRequest moves a pin.
type PinUpdateRequest struct {
	CIDBase
	FastProvide
	From  string `arg:"from-path"`
	To    string `arg:"to-path"`
	Unpin bool   `opt:"unpin" default:"true" help:"remove the old pin"`
}

// Text is one line.
func (PinUpdateRequest) Text(p Pins) string {
	if len(p.Pins) < 2 {
		return ""
	}
	return display.Sprintf("updated %s to %s\n", p.Pins[0], p.Pins[1])
}

// PinListRequest asks what is kept.
type PinListRequest struct {
	CIDBase
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

// PinVerifyRequest checks recursive pins.
type PinVerifyRequest struct {
	CIDBase
	Verbose bool `opt:"verbose" help:"print pins that are whole too"`
	Quiet   bool `opt:"quiet,q" help:"print only the CIDs of broken pins"`
}

// Check returns an error if the options contradict each other.
func (req PinVerifyRequest) Check() error {
	if req.Verbose && req.Quiet {
		return errors.New("the --verbose and --quiet options can not be used at the same time")
	}
	return nil
}

// VerifiedPin is a pin and what is wrong with it.
type VerifiedPin struct {
	Cid      string    `json:",omitempty"`
	Err      string    `json:",omitempty"`
	Ok       bool      `json:",omitempty"`
	BadNodes []BadNode `json:",omitempty"`
}

// BadNode is a block that should be here.
type BadNode struct{ Cid, Err string }

// Text is one line a pin, and one for each of its bad blocks.
func (req PinVerifyRequest) Text(p VerifiedPin) string {
	switch {
	case req.Quiet && p.Ok:
		return ""
	case req.Quiet:
		return display.Sprintf("%s\n", p.Cid)
	case p.Err != "":
		return display.Sprintf("error: %s\n", p.Err)
	case p.Ok:
		return display.Sprintf("%s ok\n", p.Cid)
	}
	text := display.Sprintf("%s broken\n", p.Cid)
	for _, b := range p.BadNodes {
		text += display.Sprintf("  %s: %s\n", b.Cid, b.Err)
	}
	return text
}
