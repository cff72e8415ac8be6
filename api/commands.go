package api

import (
	"strings"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// commandsCommands are the commands of this file.
var commandsCommands = []rpc.Spec{Commands}

// Commands: list all commands.
var Commands = rpc.Command[CommandsRequest, CommandTree]{
	Info: rpc.Info{
		Path:     "commands",
		Short:    "List all commands",
		Examples: []string{`ipns commands`, `ipns commands --flags`},
		Local:    true,
		Instant:  true,
	},
	Text: CommandsRequest.Text,
}

// CommandsRequest lists all commands.
type CommandsRequest struct {
	Flags bool `opt:"flags,f" help:"list their options too"`
}

// CommandTree is a command with its subcommands and its options, as Kubo describes them.
type CommandTree struct {
	Name        string
	Subcommands []CommandTree
	Options     []CommandOption
}

// CommandOption is an option by all its names, without dashes.
type CommandOption struct{ Names []string }

// Text is one line for each command, and for each option.
func (req CommandsRequest) Text(root CommandTree) string {
	var b strings.Builder
	var write func(path string, t CommandTree)
	write = func(path string, t CommandTree) {
		display.Fprintf(&b, "%s\n", path)
		for _, o := range t.Options {
			if !req.Flags || path == root.Name {
				break
			}
			var names []string
			for _, n := range o.Names {
				dashes := "--"
				if len(n) == 1 {
					dashes = "-"
				}
				names = append(names, path+" "+dashes+n)
			}
			display.Fprintf(&b, "%s\n", strings.Join(names, " / "))
		}
		for _, sub := range t.Subcommands {
			write(path+" "+sub.Name, sub)
		}
	}
	write(root.Name, root)
	return b.String()
}

// Instead says of a command of Kubo's that is not here, or of the group that it is in, what
// to use; empty for others.
func Instead(path string) string {
	for ; path != ""; path = path[:max(0, strings.LastIndexByte(path, '/'))] {
		if text := instead[path]; text != "" {
			return text
		}
	}
	return ""
}

var instead = map[string]string{
	"dht":            "'ipns routing' asks the DHT, and the other roads with it",
	"diag/datastore": "the database has a format of its own; 'ipns repo verify' checks it",
	"files":          "there is no mutable file system (MFS) here; use 'ipns add' and 'ipns name publish' for content that changes",
	"filestore":      "the repo keeps a copy of all content; use 'ipns add' without --nocopy",
	"mount":          "nothing is mounted; read over the gateway, or with 'ipns get'",
	"object":         "use 'ipns dag' for nodes, 'ipns ls' and 'ipns add' for folders",
	"p2p":            "peers forward no streams here; use a tunnel such as that of ssh",
	"plugin":         "there are no plugins",
	"pubsub":         "there is no pubsub for programs; names travel over it with Ipns.UsePubsub",
	"tar":            "use 'ipns add' and 'ipns get'",
	"update":         "install another version of the program the way this one was",
	"urlstore":       "the repo keeps a copy of all content; use 'ipns add'",
}
