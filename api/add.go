package api

import (
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// Add: add files and folders, and pin them.
var Add = rpc.Command[AddRequest, Added]{
	Info: rpc.Info{
		Path: "add", Args: "<path>...",
		Short: "Add files and folders, and pin them",
		Long: "Add files and folders, and pin them. A path may also be a URL, or - for standard\n" +
			"input, which is also read if there is none. Almost every option changes the\n" +
			"CIDs; what is not given is as the config says (Import.*).",
		Examples: []string{`ipns add --cid-version=1 site`, `echo hello | ipns add -Q`},
		Chunked:  true,
	},
	Text: AddRequest.Text,
}

// AddRequest adds files and folders.
type AddRequest struct {
	_ struct{} `kubo:"nocopy=false fscache=false"`

	CIDBase

	// Files are what to add: each folder before its contents.
	Files iter.Seq2[File, error]

	Pin      bool   `opt:"pin" default:"true" help:"pin what is added"`
	PinName  string `opt:"pin-name" help:"name of the pin"`
	OnlyHash bool   `opt:"only-hash,n" help:"compute the CIDs but store nothing"`
	Wrap     bool   `opt:"wrap-with-directory,w" help:"wrap the files in a folder"`
	Empty    bool   `opt:"empty-dirs,E" default:"true" help:"also add folders with nothing in them"`

	CIDVersion  *int    `opt:"cid-version" help:"0 or 1 (default Import.CidVersion, or 0)"`
	Hash        string  `opt:"hash" help:"hash function; all but sha2-256 need CID version 1 (default Import.HashFunction, or sha2-256)"`
	RawLeaves   *bool   `opt:"raw-leaves" help:"store file data without a UnixFS wrapper (default Import.UnixFSRawLeaves, or true with CID version 1)"`
	Chunker     string  `opt:"chunker,s" help:"how to split files: size-BYTES, rabin-MIN-AVG-MAX or buzhash (default Import.UnixFSChunker, or size-262144)"`
	Trickle     *bool   `opt:"trickle,t" help:"lay files out for reading from the start (default as Import.UnixFSDAGLayout)"`
	FileLinks   *int    `opt:"max-file-links" help:"links of one node of a file (default Import.UnixFSFileMaxLinks, or 174)"`
	DirLinks    *int    `opt:"max-directory-links" help:"entries of a folder before it becomes a HAMT, 0: any number (default Import.UnixFSDirectoryMaxLinks)"`
	Fanout      *int    `opt:"max-hamt-fanout" help:"links of one node of a HAMT, a power of 2 from 8 to 1024 (default Import.UnixFSHAMTDirectoryMaxFanout, or 256)"`
	Inline      bool    `opt:"inline" help:"put small blocks into their CIDs"`
	InlineLimit int     `opt:"inline-limit" default:"32" help:"bytes of the largest block that --inline means, at most 128"`
	KeepMode    bool    `opt:"preserve-mode" help:"store the permissions of files and folders; their roots are then not raw"`
	KeepMtime   bool    `opt:"preserve-mtime" help:"store when files and folders were changed; their roots are then not raw"`
	Mode        uint    `opt:"mode" help:"store these permissions, such as 0644"`
	Mtime       int64   `opt:"mtime" help:"store this time of change, in seconds since 1970"`
	MtimeNsecs  uint    `opt:"mtime-nsecs" help:"nanoseconds to add to --mtime"`
	Base        string  `opt:"base" help:"CID of an earlier version that is pinned: what is sent as unchanged is taken from it; for programs"`
	ToFiles     *string `opt:"to-files" help:"refused: this node has no MFS"`

	FastProvide

	Quiet    bool `opt:"quiet,q" help:"print CIDs only"`
	Quieter  bool `opt:"quieter,Q" help:"print the CID of the root only"`
	Silent   bool `opt:"silent" help:"print nothing"`
	Progress bool `opt:"progress,p" help:"report progress"`
}

// FastProvide is embedded in requests that add roots: it says how they are announced.
type FastProvide struct {
	Root *bool `opt:"fast-provide-root" help:"announce roots at once, not only in their turn (default Import.FastProvideRoot, or true)"`
	DAG  *bool `opt:"fast-provide-dag" help:"announce everything below them too (default Import.FastProvideDAG)"`
	Wait *bool `opt:"fast-provide-wait" help:"wait until roots are announced, and fail if they cannot be (default Import.FastProvideWait)"`
}

// FileKind distinguishes files, folders and links.
type FileKind int

// The kinds of File.
const (
	RegularFile FileKind = iota
	Folder
	Symlink
	Unchanged // a file that is the same in AddRequest.Base
)

// File is a file, a folder or a link to add.
type File struct {
	Path    string // relative, with slashes; the first element is the root
	Kind    FileKind
	Mode    fs.FileMode // 0: not known
	ModTime time.Time   // zero: not known
	Body    io.Reader   // of a file: its content; of a link: its target
}

// Added is an added entry or, if Hash is empty, the progress of one.
type Added struct {
	Name  string
	Hash  string `json:",omitempty"`
	Bytes int64  `json:",omitempty"` // progress
	Size  string `json:",omitempty"` // of the whole tree, in bytes

	// What the root of the entry was given with: its mode in octal, its time of change.
	Mode       string `json:",omitempty"`
	Mtime      int64  `json:",omitempty"` // seconds since 1970
	MtimeNsecs int    `json:",omitempty"`
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
