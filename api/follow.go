package api

import (
	"io"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// followCommands are the commands of this file.
var followCommands = []rpc.Spec{FollowName, FollowList, FollowRm}

var (
	// FollowName: keep a name of somebody else alive.
	FollowName = rpc.Command[FollowRequest, Followed]{
		Info: rpc.Info{
			Path: "follow", Args: "<name>",
			Short: "Keep a name of others alive, and its content",
			Long: "Keep the record of a name of others alive: this node announces it as it is until\n" +
				"it expires, and looks for newer ones. With --pin it keeps what the name leads\n" +
				"to, too: new content is fetched as a whole before older content is let go. When\n" +
				"the record expires, its content stays. The daemon does all that. Give the\n" +
				"command again to change options.",
			Examples: []string{`ipns follow --pin --keep=3 --max-size=2GB $STRANGER`},
		},
		Text: func(_ FollowRequest, f Followed) string { return display.Sprintf("following %s\n", f.Name) },
	}
	// FollowList: list names that are followed.
	FollowList = rpc.Command[FollowListRequest, Follows]{
		Info: rpc.Info{
			Path:     "follow/list",
			Short:    "List the names that are followed, and what is kept of them",
			Examples: []string{`ipns follow list`},
		},
		Text: FollowListRequest.Text,
	}
	// FollowRm: let go of a name.
	FollowRm = rpc.Command[FollowRmRequest, Followed]{
		Info: rpc.Info{
			Path: "follow/rm", Args: "<name>",
			Short:    "Follow a name no more, and let its content go",
			Examples: []string{`ipns follow rm $STRANGER`},
		},
		Text: func(_ FollowRmRequest, f Followed) string { return display.Sprintf("no longer following %s\n", f.Name) },
	}
)

// FollowRequest follows a name.
type FollowRequest struct {
	Name    string `arg:"name"`
	Pin     bool   `opt:"pin" help:"keep what it leads to"`
	Keep    int    `opt:"keep" default:"1" help:"how many of its values to keep"`
	MaxSize string `opt:"max-size" help:"how large the content of one value may be, as 2GB (default: any size)"`
}

// Followed is a name that is followed, or no more.
type Followed struct{ Name string }

// FollowListRequest lists names that are followed.
type FollowListRequest struct{}

// Follow is how it stands with a name that is followed.
type Follow struct {
	Name     string
	Pin      bool
	Keep     int
	MaxSize  uint64 `json:",omitempty"` // bytes
	Since    time.Time
	Sequence *uint64    `json:",omitempty"` // of its record; nil: none was found
	Value    string     `json:",omitempty"`
	EOL      *time.Time `json:",omitempty"`
	Expired  bool       `json:",omitempty"`
	Values   []Kept     `json:",omitempty"` // newest first
	Fetching string     `json:",omitempty"` // the root that is being fetched
	Error    string     `json:",omitempty"` // why the newest value is not kept
}

// Kept is a value whose content is kept.
type Kept struct {
	Root     string
	Bytes    uint64
	Sequence uint64
	At       time.Time
}

// Follows are all names that are followed.
type Follows struct{ Follows []Follow }

// Text is a line for each name, and one for each value that is kept.
func (FollowListRequest) Text(list Follows) string {
	return table(func(w io.Writer) {
		for _, f := range list.Follows {
			state := "no record was found yet"
			if f.Sequence != nil {
				state = display.Sprintf("%d %s until %s", *f.Sequence, f.Value, f.EOL.Format(time.RFC3339))
			}
			if f.Expired {
				state += ", expired: its content stays"
			}
			if f.Fetching != "" {
				state += ", fetching " + f.Fetching
			}
			if f.Error != "" {
				state += ", " + f.Error
			}
			_, _ = io.WriteString(w, display.Sprintf("%s\t%s\n", f.Name, state))
			for _, k := range f.Values {
				_, _ = io.WriteString(w, display.Sprintf("  %s\t%d bytes, of sequence %d\n", k.Root, k.Bytes, k.Sequence))
			}
		}
	})
}

// FollowRmRequest follows a name no more.
type FollowRmRequest struct {
	Name string `arg:"name"`
}
