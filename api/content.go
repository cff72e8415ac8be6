package api

import (
	"io"
	"iter"

	"github.com/goipns/ipns/internal/display"

	"github.com/goipns/ipns/rpc"
)

// contentCommands are the commands of this file.
var contentCommands = []rpc.Spec{Add, Cat, Get, Ls}

var (
	// Add: add files and folders, and pin them.
	Add = rpc.Command[AddRequest, Added]{
		Info: rpc.Info{
			Path: "add", Args: "<path>...",
			Short:    "Add files and folders, and pin them",
			Examples: []string{`ipns add --cid-version=1 site`, `echo hello | ipns add -Q`},
			Chunked:  true,
		},
		Text: AddRequest.Text,
	}
	// Cat: print files.
	Cat = rpc.Command[CatRequest, rpc.Stream]{
		Info: rpc.Info{
			Path: "cat", Args: "<path>...",
			Short:    "Print files",
			Examples: []string{`ipns cat /ipfs/$CID/index.html`},
		},
	}
)

// AddRequest adds files and folders.
type AddRequest struct {
	_ struct{} `kubo:"hash=sha2-256 trickle,t=false inline=false inline-limit=32 max-file-links=174 max-directory-links=0 max-hamt-fanout=256"`
	_ struct{} `kubo:"preserve-mode=false preserve-mtime=false mode mtime mtime-nsecs empty-dirs,E=true"`
	_ struct{} `kubo:"nocopy=false fscache=false to-files fast-provide-dag=false fast-provide-wait=false"`

	CIDBase
	// Files are what to add: each folder before its contents.
	Files      iter.Seq2[File, error]
	CIDVersion *int   `opt:"cid-version" help:"0 or 1 (default 0, or 1 with --raw-leaves)"`
	RawLeaves  *bool  `opt:"raw-leaves" help:"store file data without a UnixFS wrapper (default true with CID version 1)"`
	Pin        bool   `opt:"pin" default:"true" help:"pin what is added"`
	PinName    string `opt:"pin-name" help:"name of the pin"`
	OnlyHash   bool   `opt:"only-hash,n" help:"compute the CIDs but store nothing"`
	Wrap       bool   `opt:"wrap-with-directory,w" help:"wrap the files in a folder"`
	Chunker    string `opt:"chunker,s" default:"size-262144" help:"how to split files: size-BYTES, rabin-MIN-AVG-MAX or buzhash"`
	Quiet      bool   `opt:"quiet,q" help:"print CIDs only"`
	Quieter    bool   `opt:"quieter,Q" help:"print the CID of the root only"`
	Silent     bool   `opt:"silent" help:"print nothing"`
	Progress   bool   `opt:"progress,p" help:"report progress"`
}

// FileKind distinguishes files, folders and links.
type FileKind int

// The kinds of File.
const (
	RegularFile FileKind = iota
	Folder
	Symlink
)

// File is a file, a folder or a link to add.
type File struct {
	Path string // relative, with slashes; the first element is the root
	Kind FileKind
	Body io.Reader // of a file: its content; of a link: its target
}

// Added is an added entry or, if Hash is empty, the progress of one.
type Added struct {
	Name  string
	Hash  string `json:",omitempty"`
	Bytes int64  `json:",omitempty"` // progress
	Size  string `json:",omitempty"` // of the whole tree, in bytes
}

// Text is one line per entry.
func (req AddRequest) Text(a Added) string {
	switch {
	case a.Hash == "" || req.Silent:
		return ""
	case req.Quiet || req.Quieter:
		return display.Sprintf("%s\n", a.Hash)
	}
	return display.Sprintf("added %s %s\n", a.Hash, a.Name)
}

// CatRequest reads files, one after the other as if they were one.
type CatRequest struct {
	Paths    []string `arg:"ipfs-path,stdin"`
	Offset   int64    `opt:"offset,o" help:"first byte to print"`
	Length   *int64   `opt:"length,l" help:"how many bytes to print"`
	Progress *bool    `opt:"progress,p" help:"accepted for compatibility"`
}
