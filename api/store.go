package api

import (
	"strings"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// storeCommands are the commands of this file.
var storeCommands = []rpc.Spec{StoreStatus}

// StoreStatus: show where the names are.
var StoreStatus = rpc.Command[StoreStatusRequest, StoreState]{
	Info: rpc.Info{
		Path:     "store/status",
		Short:    "Show where the names are kept, and how many there are",
		Examples: []string{`ipns store status`},
	},
	Text: StoreStatusRequest.Text,
}

// StoreStatusRequest asks where the names are.
type StoreStatusRequest struct{}

// StoreState says where the names of a node are.
type StoreState struct {
	Kind  string // pebble or postgres
	Place string // without any password
	// Names that are own, and that are hosted for others.
	Own, Hosted int
	// Generation is one life of the store: another one begins when it is restored from a copy.
	Generation string
	// Left says that the repo still has a copy of names that were moved away, or that it had
	// none of its own: it is not used.
	Left bool
}

// Text is a few lines.
func (StoreStatusRequest) Text(s StoreState) string {
	var b strings.Builder
	display.Fprintf(&b, "names are in: %s (%s)\n", s.Place, s.Kind)
	display.Fprintf(&b, "names: %d own, %d hosted\n", s.Own, s.Hosted)
	display.Fprintf(&b, "generation: %s\n", s.Generation)
	if s.Left {
		b.WriteString("the database of this repo has no names that are used\n")
	}
	return b.String()
}
