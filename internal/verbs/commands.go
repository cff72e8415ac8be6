package verbs

import (
	"context"
	"strings"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/request"
)

// commands implements the command: those of the API, below a root with Kubo's name.
func (n *verbs) commands(context.Context, api.CommandsRequest) (api.CommandTree, error) {
	root := api.CommandTree{Name: "ipfs", Options: []api.CommandOption{}, Subcommands: []api.CommandTree{}}
	for _, spec := range api.All {
		info := spec.Describe()
		for _, path := range append([]string{info.Path}, info.Aliases...) {
			at := &root
			for word := range strings.SplitSeq(path, "/") {
				at = subcommand(at, word)
			}
			for _, o := range request.Options(spec.New()) {
				if !o.Arg {
					at.Options = append(at.Options, api.CommandOption{Names: append([]string{o.Name}, o.Aliases...)})
				}
			}
		}
	}
	return root, nil
}

// subcommand returns the subcommand with a name, which it adds if there is none.
func subcommand(t *api.CommandTree, name string) *api.CommandTree {
	for i := range t.Subcommands {
		if t.Subcommands[i].Name == name {
			return &t.Subcommands[i]
		}
	}
	t.Subcommands = append(t.Subcommands, api.CommandTree{Name: name, Options: []api.CommandOption{}, Subcommands: []api.CommandTree{}})
	return &t.Subcommands[len(t.Subcommands)-1]
}
