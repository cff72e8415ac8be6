package api

import (
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// Ls: list folders.
var Ls = rpc.Command[ListRequest, Listing]{
	Info: rpc.Info{
		Path: "ls", Args: "<path>...",
		Short:    "List folders",
		Long:     "List what is in folders, or the blocks of a file: CID, size and name of each.",
		Examples: []string{`ipns ls /ipfs/$CID`, `ipns ls --long --headers $CID`},
	},
	Text: func(req ListRequest, l Listing) string {
		after := ""
		if req.Stream && len(l.Objects) > 0 {
			after = l.Objects[0].Hash // who reads one response of many does not know what was before
		}
		text, _ := req.Table(l, after)
		return text
	},
}

// ListRequest lists folders.
type ListRequest struct {
	CIDBase
	Paths       []string `arg:"ipfs-path,stdin"`
	Headers     bool     `opt:"headers,v" help:"print what the columns are"`
	ResolveType bool     `opt:"resolve-type" default:"true" help:"read what is listed, for its type"`
	Size        bool     `opt:"size" default:"true" help:"read what is listed, for its size"`
	Stream      bool     `opt:"stream,s" chunked:"true" help:"print entries as they are found"`
	Long        bool     `opt:"long,l" help:"print mode and time too"`
}

// Listing is some or all entries of folders.
type Listing struct{ Objects []ListedFolder }

// ListedFolder is some or all entries of one folder, which is called as it was in the request.
type ListedFolder struct {
	Hash  string
	Links []ListedLink
}

// ListedLink is an entry of a folder.
type ListedLink struct {
	Name    string
	Hash    string
	Size    uint64
	Type    int // of UnixFS
	Target  string
	Mode    fs.FileMode // 0: none is known
	ModTime time.Time
}

// UnixFS types.
const (
	TypeUnread  = 0 // not looked at, or a block of another kind
	TypeFolder  = 1
	TypeFile    = 2
	TypeSymlink = 4
)

// Column widths, in characters: of a stream each entry is laid out for itself.
const (
	listWidth   = 1
	streamWidth = 10
)

// Table lays out a listing. after is the folder that was printed last, and last what it is now.
func (req ListRequest) Table(l Listing, after string) (text, last string) {
	var b strings.Builder
	width := listWidth
	if req.Stream {
		width = streamWidth
	}
	w := tabwriter.NewWriter(&b, width, 2, 1, ' ', 0)
	for _, f := range l.Objects {
		if f.Hash != after {
			req.head(w, f.Hash, after == "")
			after = f.Hash
		}
		for _, e := range f.Links {
			req.line(w, e)
		}
	}
	w.Flush()
	return b.String(), after
}

func (req ListRequest) head(w io.Writer, folder string, first bool) {
	if len(req.Paths) > 1 {
		if !first {
			io.WriteString(w, "\n")
		}
		display.Fprintf(w, "%s:\n", folder)
	}
	if !req.Headers {
		return
	}
	columns := []string{"Hash", "Name"}
	switch {
	case req.Long && req.Size:
		columns = []string{"Mode", "Hash", "Size", "ModTime", "Name"}
	case req.Long:
		columns = []string{"Mode", "Hash", "ModTime", "Name"}
	case req.Size:
		columns = []string{"Hash", "Size", "Name"}
	}
	io.WriteString(w, strings.Join(columns, "\t")+"\n")
}

func (req ListRequest) line(w io.Writer, e ListedLink) {
	size, slash := display.Sprintf("%d", e.Size), ""
	if e.Type == TypeFolder {
		size, slash = "-", "/"
	}
	if req.Long {
		io.WriteString(w, modeText(e.Mode)+"\t")
	}
	display.Fprintf(w, "%s\t", e.Hash)
	if req.Size {
		io.WriteString(w, size+"\t")
	}
	if req.Long {
		io.WriteString(w, timeText(e.ModTime)+"\t")
	}
	display.Fprintf(w, "%s", e.Name)
	io.WriteString(w, slash+"\n")
}

// modeText writes a mode as ls -l does; "-" if none is known.
func modeText(mode fs.FileMode) string {
	if mode == 0 {
		return "-"
	}
	text := []byte("-" + mode.Perm().String()[1:])
	for _, kind := range []struct {
		mode   fs.FileMode
		letter byte
	}{
		{fs.ModeDir, 'd'},
		{fs.ModeSymlink, 'l'},
		{fs.ModeNamedPipe, 'p'},
		{fs.ModeSocket, 's'},
		{fs.ModeDevice | fs.ModeCharDevice, 'c'},
		{fs.ModeDevice, 'b'},
	} {
		if mode&kind.mode == kind.mode {
			text[0] = kind.letter
			break
		}
	}
	for _, special := range []struct {
		mode   fs.FileMode
		at     int
		letter byte
	}{{fs.ModeSetuid, 3, 's'}, {fs.ModeSetgid, 6, 's'}, {fs.ModeSticky, 9, 't'}} {
		if mode&special.mode == 0 {
			continue
		}
		if text[special.at] == '-' {
			special.letter -= 'a' - 'A' // without the right to execute
		}
		text[special.at] = special.letter
	}
	return string(text)
}

// recent is how old a time may be to be shown with its hour, as ls does.
const recent = 6 // months

// timeText writes a time as ls -l does; "-" if none is known.
func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	now := time.Now()
	if t.After(now.AddDate(0, -recent, 0)) && t.Before(now.Add(24*time.Hour)) {
		return t.UTC().Format("Jan 02 15:04")
	}
	return t.UTC().Format("Jan 02  2006")
}
