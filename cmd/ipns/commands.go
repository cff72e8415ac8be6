package main

import (
	"context"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// listCommands lists what this program has, of which the API is a part.
func (c *cli) listCommands(root *cobra.Command) runner {
	return func(_ context.Context, _ rpc.Caller, _ rpc.Spec, req any) error {
		tree := treeOf(root)
		return c.print(tree, req.(*api.CommandsRequest).Text(tree))
	}
}

// treeOf describes a command and those below it, but for hidden ones.
func treeOf(cmd *cobra.Command) api.CommandTree {
	t := api.CommandTree{Name: cmd.Name(), Options: []api.CommandOption{}, Subcommands: []api.CommandTree{}}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		names := []string{f.Name}
		if f.Shorthand != "" && f.Shorthand != f.Name {
			names = append(names, f.Shorthand)
		}
		t.Options = append(t.Options, api.CommandOption{Names: names})
	})
	for _, sub := range cmd.Commands() {
		if !sub.Hidden && sub.Name() != "help" {
			t.Subcommands = append(t.Subcommands, treeOf(sub))
			for _, alias := range sub.Aliases {
				t.Subcommands = append(t.Subcommands, api.CommandTree{Name: alias, Options: []api.CommandOption{}, Subcommands: []api.CommandTree{}})
			}
		}
	}
	return t
}

// completionCmd prints scripts by which shells complete command lines.
func (c *cli) completionCmd() *cobra.Command {
	group := &cobra.Command{Use: "completion", Short: "Print scripts by which shells complete command lines", RunE: group}
	for _, shell := range []struct {
		name  string
		write func(*cobra.Command, io.Writer) error
	}{
		{"bash", func(root *cobra.Command, w io.Writer) error {
			// Programs look for the function under this name.
			display.Fprintf(w, "_%s() { __start_%s \"$@\"; }\n", c.name, c.name)
			return root.GenBashCompletionV2(w, true)
		}},
		{"fish", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) }},
		{"zsh", func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) }},
	} {
		group.AddCommand(&cobra.Command{
			Use:     shell.name,
			Short:   "Print the script for " + shell.name,
			Example: examples("ipns commands completion " + shell.name),
			Args:    cobra.NoArgs,
			RunE:    func(cmd *cobra.Command, _ []string) error { return shell.write(cmd.Root(), c.raw) },
		})
	}
	return group
}

// insteadOf says what to use instead of a command of Kubo's that is not here; empty for
// others.
func insteadOf(cmd *cobra.Command, word string) string {
	return api.Instead(path.Join(strings.ReplaceAll(strings.TrimSpace(commandPath(cmd)), " ", "/"), word))
}
