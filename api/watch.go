package api

import (
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// NameWatch: print what changes of names, as it changes.
var NameWatch = rpc.Command[WatchRequest, Changed]{
	Info: rpc.Info{
		Path: "name/watch", Args: "[<name>...]",
		Short: "Print the names that change, as they change",
		Long: "Print the names of this node that change, or those that are given, until it is\n" +
			"interrupted. Names of others may be given: they are searched when their TTL is\n" +
			"over, and come by pubsub where it is on. As JSON, each line has a position;\n" +
			"--since goes on from there, in another run of the daemon too. A name that\n" +
			"changed more than once meanwhile is printed once, with its newest value. Of\n" +
			"names that are given it is also said when their record is ending, or ended,\n" +
			"without another.",
		Examples: []string{`ipns name watch --for=1s`, `ipns name watch --for=1s --json $NAME`},
		Chunked:  true,
		Instant:  true, // it stays for long, and has a limit of its own
	},
	Text: func(_ WatchRequest, c Changed) string {
		switch {
		case c.Event != "":
			return display.Sprintf("%s %s\n", c.Name, c.Event)
		case c.Status == nil:
			return ""
		}
		return display.Sprintf("%s %d %s\n", c.Name, c.Status.Sequence, c.Status.Value)
	},
}

// WatchRequest asks for changes of names.
type WatchRequest struct {
	Names []string      `arg:"name,optional"`
	Since string        `opt:"since" help:"begin after this position (default: now)"`
	For   time.Duration `opt:"for" help:"how long to watch; 0: until interrupted"`
}

// Changed is a name that has changed. Without a Name it is only a sign of life, with a
// position. That is the first response, and comes at least every 15 seconds.
type Changed struct {
	Position string
	Name     string  `json:",omitempty"`
	Status   *Status `json:",omitempty"` // nil: nothing was published under the name
	// Event is "ending" or "ended" where the record has not changed, and "gone" where the
	// node does not hold the name any more.
	Event string `json:",omitempty"`
	// Gap says that changes before this position are not known: read all names again.
	Gap bool `json:",omitempty"`
}

// Failed implements [rpc.Failer].
func (*WatchRequest) Failed(err error) any { return failed(err) }
