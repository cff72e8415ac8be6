package main

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/goipns/ipns/internal/spelling"
)

// chapters are the groups of commands in the help.
var chapters = []struct {
	title string
	words []string
}{
	{"Start here", []string{"up", "publish", "init", "daemon", "testnet"}},
	{"Names", []string{"name", "follow", "republish", "cluster", "contenthash", "ens", "dnslink"}},
	{"Keys", []string{"key"}},
	{"Hosting", []string{"host"}},
	{"Content", []string{"add", "cat", "get", "ls", "resolve", "refs", "files", "pin", "block", "dag"}},
	{"Encodings", []string{"cid", "multibase"}},
	{"Network", []string{"relay", "swarm", "bootstrap", "routing", "provide", "ping", "bitswap", "stats", "dht"}},
	{"Node", []string{"id", "config", "repo", "store", "doctor", "backup", "restore", "export", "log", "diag", "version", "commands", "shutdown"}},
}

const rootHelp = `Give content a name that never changes, and keep both online.

A command talks to the daemon of the repo if one is running. Without a daemon it
works on the repo itself, offline. Results go to standard output, everything
else to standard error.

Exit codes:
  0         what you asked for happened
  1         it did not, or the command line is wrong; standard error says why
  2         only 'ipns doctor': it could not examine the repo
  2 to 10, 130  only 'ipns publish', whose help lists them
  130, 143  a second ctrl-c or SIGTERM ended the process at once`

// usageTemplate is cobra's, with lines that fit a terminal.
const usageTemplate = `Usage:{{if and .Runnable (not .HasAvailableSubCommands)}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}{{if .HasParent}}{{if ne .Use .Name}}
  {{.UseLine}}{{end}}{{end}}
  {{.CommandPath}} [options] <command> ...{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{if eq (len .Groups) 0}}

Commands:{{range $cmds}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{else}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Options:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Options of all commands:
{{.InheritedFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableSubCommands}}

Use "{{.CommandPath}} <command> --help" for more about a command.{{end}}
`

// Help lists commands in the order of their tables.
func init() { cobra.EnableCommandSorting = false }

// arrange puts the commands of the root into their chapters.
func arrange(root *cobra.Command) {
	for _, ch := range chapters {
		root.AddGroup(&cobra.Group{ID: ch.title, Title: ch.title + ":"})
		for _, word := range ch.words {
			i := slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
			cmd := root.Commands()[i]
			cmd.GroupID = ch.title
			root.RemoveCommand(cmd)
			root.AddCommand(cmd)
		}
	}
}

// nearestCommand returns the subcommands that a mistyped word may mean, with their parent
// commands.
func nearestCommand(cmd *cobra.Command, typed string) []string {
	var words []string
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			words = append(append(words, sub.Name()), sub.Aliases...)
		}
	}
	var found []string
	for _, word := range spelling.Near(typed, words) {
		found = append(found, cmd.CommandPath()+" "+word)
	}
	return found
}

// nearestOption returns the option that a mistyped one most likely means, if any.
func nearestOption(cmd *cobra.Command, typed string) []string {
	var words []string
	for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && len(f.Name) > 1 {
				words = append(words, f.Name)
			}
		})
	}
	if word := spelling.Nearest(typed, words); word != "" {
		return []string{"--" + word}
	}
	return nil
}
