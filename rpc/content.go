package rpc

import (
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/goipns/ipns/internal/display"
)

// AddRequest adds files and folders.
type AddRequest struct {
	_ struct{} `kubo:"hash=sha2-256 trickle,t=false inline=false inline-limit=32 max-file-links=174 max-directory-links=0 max-hamt-fanout=256"`
	_ struct{} `kubo:"preserve-mode=false preserve-mtime=false mode mtime mtime-nsecs empty-dirs,E=true"`
	_ struct{} `kubo:"nocopy=false fscache=false to-files fast-provide-dag=false fast-provide-wait=false"`
	_ struct{} `kubo:"cid-base upgrade-cidv0-in-output=false"`

	// Files are what to add: folders before what they contain.
	Files      iter.Seq2[File, error]
	CIDVersion *int   `opt:"cid-version" help:"0 or 1 (0, unless raw leaves are asked for)"`
	RawLeaves  *bool  `opt:"raw-leaves" help:"leaves without UnixFS around them (with CID version 1: true)"`
	Pin        bool   `opt:"pin" default:"true" help:"keep what is added"`
	PinName    string `opt:"pin-name" help:"name of the pin"`
	OnlyHash   bool   `opt:"only-hash,n" help:"compute the CIDs, store nothing"`
	Wrap       bool   `opt:"wrap-with-directory,w" help:"put the files into a folder"`
	Chunker    string `opt:"chunker,s" default:"size-262144" help:"how files are cut: size-BYTES, rabin-MIN-AVG-MAX or buzhash"`
	Quiet      bool   `opt:"quiet,q" help:"print CIDs only"`
	Quieter    bool   `opt:"quieter,Q" help:"print the CID of the root only"`
	Silent     bool   `opt:"silent" help:"print nothing"`
	Progress   bool   `opt:"progress,p" help:"report how far it is"`
}

// FileKind tells a file from a folder from a link.
type FileKind int

// The kinds of File.
const (
	RegularFile FileKind = iota
	Folder
	Symlink
)

// File is a file, a folder or a link that is to be added.
type File struct {
	Path string // with slashes, relative; the first element is the root
	Kind FileKind
	Body io.Reader // of a file: its content; of a link: its target
}

// Added is one entry that was added, or with Hash empty how far one is.
type Added struct {
	Name  string
	Hash  string `json:",omitempty"`
	Bytes int64  `json:",omitempty"` // progress
	Size  string `json:",omitempty"` // of the whole tree, in bytes
}

// Text is one line an entry.
func (req AddRequest) Text(a Added) string {
	switch {
	case a.Hash == "" || req.Silent:
		return ""
	case req.Quiet || req.Quieter:
		return display.Sprintf("%s\n", a.Hash)
	}
	return display.Sprintf("added %s %s\n", a.Hash, a.Name)
}

// CatRequest reads a file.
type CatRequest struct {
	_ struct{} `kubo:"offline=false local,L=false"`

	Path   string `arg:"ipfs-path,stdin"`
	Offset int64  `opt:"offset,o" help:"where to begin, in bytes"`
	Length *int64 `opt:"length,l" help:"how many bytes to read"`
}

// PinAddRequest keeps content.
type PinAddRequest struct {
	_ struct{} `kubo:"fast-provide-dag=false fast-provide-wait=false cid-base upgrade-cidv0-in-output=false offline=false local,L=false"`

	Paths     []string `arg:"ipfs-path,stdin"`
	Recursive bool     `opt:"recursive,r" default:"true" help:"pin all that the root leads to"`
	Name      string   `opt:"name,n" help:"name of the pin"`
	Progress  bool     `opt:"progress" help:"accepted for compatibility"`
}

// Pins are the roots that were pinned or unpinned.
type Pins struct{ Pins []string }

// Text is one line a root.
func (req PinAddRequest) Text(p Pins) string {
	how := "recursively"
	if !req.Recursive {
		how = "directly"
	}
	var b strings.Builder
	for _, c := range p.Pins {
		display.Fprintf(&b, "pinned %s %s\n", c, how)
	}
	return b.String()
}

// PinRemoveRequest stops keeping content.
type PinRemoveRequest struct {
	_ struct{} `kubo:"cid-base upgrade-cidv0-in-output=false"`

	Paths     []string `arg:"ipfs-path,stdin"`
	Recursive bool     `opt:"recursive,r" default:"true" help:"the pin is recursive"`
}

// Text is one line a root.
func (PinRemoveRequest) Text(p Pins) string {
	var b strings.Builder
	for _, c := range p.Pins {
		display.Fprintf(&b, "unpinned %s\n", c)
	}
	return b.String()
}

// PinListRequest asks what is kept.
type PinListRequest struct {
	_ struct{} `kubo:"cid-base upgrade-cidv0-in-output=false"`

	Paths  []string `arg:"ipfs-path,optional"`
	Type   string   `opt:"type,t" default:"all" help:"direct, indirect, recursive or all"`
	Quiet  bool     `opt:"quiet,q" help:"print CIDs only"`
	Name   string   `opt:"name,n" help:"only pins whose name contains this"`
	Stream bool     `opt:"stream,s" help:"print pins as they are found"`
	Names  bool     `opt:"names" help:"print the names of the pins too"`
}

// PinList is all pins, or one pin of a stream.
type PinList struct {
	Keys map[string]PinType `json:",omitempty"`
	Cid  string             `json:",omitempty"`
	Type string             `json:",omitempty"`
	Name string             `json:",omitempty"`
}

// PinType is the type of a pin.
type PinType struct{ Type, Name string }

// Text is one line a pin.
func (req PinListRequest) Text(l PinList) string {
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

// ProvideRequest announces content.
type ProvideRequest struct {
	_ struct{} `kubo:"recursive,r=false offline=false local,L=false"`

	CIDs []string `arg:"key"`
}

// Provided tells what became of it.
type Provided struct{ Provided int }

// Text is nothing.
func (ProvideRequest) Text(Provided) string { return "" }
