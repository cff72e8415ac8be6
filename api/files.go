package api

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// filesCommands are the commands of this file. Kubo has more of them, for its mutable file system, which is not here.
var filesCommands = []rpc.Spec{FilesStat, FilesLs}

var (
	// FilesStat: describe a file or folder.
	FilesStat = rpc.Command[FilesStatRequest, FileStat]{
		Info: rpc.Info{
			Path: "files/stat", Args: "<path>",
			Short:    "Describe a file or folder",
			Examples: []string{`ipns files stat /ipfs/$CID`, `ipns files stat --size /ipfs/$CID`},
		},
		Text: FilesStatRequest.Text,
	}
	// FilesLs: list the names in a folder.
	FilesLs = rpc.Command[FilesListRequest, FilesListing]{
		Info: rpc.Info{
			Path: "files/ls", Args: "<path>",
			Short:    "List the names in a folder",
			Examples: []string{`ipns files ls /ipfs/$CID`},
		},
		Text: FilesListRequest.Text,
	}
)

const statFormat = `<hash>
Size: <size>
CumulativeSize: <cumulsize>
ChildBlocks: <childs>
Type: <type>
Mode: <mode> (<mode-octal>)
Mtime: <mtime>`

// FilesStatRequest describes a file or folder.
type FilesStatRequest struct {
	CIDBase
	Path      string `arg:"path"`
	Format    string `opt:"format" help:"what to print: <hash> <size> <cumulsize> <childs> <type> <mode> <mode-octal> <mtime> <mtime-secs> <mtime-nsecs>"`
	Hash      bool   `opt:"hash" help:"print only the CID"`
	Size      bool   `opt:"size" help:"print only the size of its blocks"`
	WithLocal bool   `opt:"with-local" help:"find out how much of it is here"`
}

// Check returns an error if more than one option says what to print.
func (req FilesStatRequest) Check() error {
	given := 0
	for _, on := range []bool{req.Hash, req.Size, req.Format != "" && req.Format != statFormat} {
		if on {
			given++
		}
	}
	if given > 1 {
		return rpc.Refuse(errors.New("invalid parameters: format was set by multiple options. Only one format option is allowed"))
	}
	return nil
}

// FileStat describes a file or folder.
type FileStat struct {
	Hash           string
	Size           uint64
	CumulativeSize uint64
	Blocks         int
	Type           string
	WithLocality   bool     `json:",omitempty"`
	Local          bool     `json:",omitempty"`
	SizeLocal      uint64   `json:",omitempty"`
	Mtime          int64    `json:",omitempty"`
	MtimeNsecs     int      `json:",omitempty"`
	Mode           FileMode `json:",omitzero"`
}

// FileMode is a mode that JSON writes in octal.
type FileMode fs.FileMode

// MarshalJSON implements [json.Marshaler].
func (m FileMode) MarshalJSON() ([]byte, error) { return json.Marshal(fmt.Sprintf("%04o", uint32(m))) }

// UnmarshalJSON implements [json.Unmarshaler].
func (m *FileMode) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	if text == "" {
		*m = 0
		return nil
	}
	n, err := strconv.ParseUint(text, 8, 32)
	*m = FileMode(n)
	return err
}

// Text fills in the format.
func (req FilesStatRequest) Text(s FileStat) string {
	format := cmp.Or(req.Format, statFormat)
	switch {
	case req.Hash:
		format = "<hash>"
	case req.Size:
		format = "<cumulsize>"
	}
	const unset = "not set"
	mode, octal, mtime, secs, nsecs := unset, unset, unset, unset, unset
	if s.Mode != 0 {
		mode = strings.ToLower(fs.FileMode(s.Mode).String())
		octal = "0" + strconv.FormatUint(uint64(fs.FileMode(s.Mode).Perm()), 8)
	}
	if s.Mtime > 0 {
		mtime = time.Unix(s.Mtime, int64(s.MtimeNsecs)).UTC().Format("2 Jan 2006, 15:04:05 MST")
		secs, nsecs = strconv.FormatInt(s.Mtime, 10), strconv.Itoa(s.MtimeNsecs)
	}
	text := strings.NewReplacer(
		"<hash>", display.Escape(s.Hash), "<size>", strconv.FormatUint(s.Size, 10),
		"<cumulsize>", strconv.FormatUint(s.CumulativeSize, 10), "<childs>", strconv.Itoa(s.Blocks),
		"<type>", display.Escape(s.Type), "<mode>", mode, "<mode-octal>", octal,
		"<mtime>", mtime, "<mtime-secs>", secs, "<mtime-nsecs>", nsecs,
	).Replace(format) + "\n"
	if s.WithLocality {
		text += display.Sprintf("Local: %s of %s (%.2f%%)\n", humanize.Bytes(s.SizeLocal), humanize.Bytes(s.CumulativeSize),
			100*float64(s.SizeLocal)/float64(s.CumulativeSize))
	}
	return text
}

// FilesListRequest lists the names in a folder.
type FilesListRequest struct {
	CIDBase
	Path   string `arg:"path,optional"`
	Long   bool   `opt:"long,l" help:"print CIDs and sizes too"`
	Unsort bool   `opt:"U" help:"do not sort"`
}

// FilesListing is a folder.
type FilesListing struct{ Entries []FilesEntry }

// FilesEntry is an entry of a folder. Without --long it has only a name.
type FilesEntry struct {
	Name string
	Type int // 0: a file, 1: a folder
	Size int64
	Hash string
}

// Text is one line an entry.
func (req FilesListRequest) Text(l FilesListing) string {
	entries := slices.Clone(l.Entries)
	if !req.Unsort {
		slices.SortFunc(entries, func(a, b FilesEntry) int { return cmp.Compare(a.Name, b.Name) })
	}
	var b strings.Builder
	for _, e := range entries {
		if !req.Long {
			display.Fprintf(&b, "%s\n", e.Name)
			continue
		}
		slash := ""
		if e.Type == 1 {
			slash = "/"
		}
		display.Fprintf(&b, "%s%s\t%s\t%d\n", e.Name, slash, e.Hash, e.Size)
	}
	return b.String()
}
