package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// chapters are the groups of commands in the help of the program.
var chapters = []struct {
	title string
	words []string
}{
	{"Start here", []string{"up", "init", "daemon", "testnet"}},
	{"Names", []string{"name", "republish", "contenthash"}},
	{"Keys", []string{"key"}},
	{"Content", []string{"add", "cat", "pin"}},
	{"Node", []string{"id", "config", "swarm", "bootstrap", "routing", "repo", "version", "shutdown"}},
}

const rootHelp = `Give content a name that never changes, and keep both online.

A command talks to the daemon of the repo if one is running. Without a daemon it
works on the repo itself, offline. Results go to standard output, everything
else to standard error.

Exit codes:
  0         what you asked for happened
  1         it did not, or the command line is wrong; standard error says why
  130, 143  a second ctrl-c or SIGTERM ended the process at once`

// Commands stand in help as they stand in their tables.
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

// nearestCommand returns the subcommand that a mistyped word most likely means,
// with the words that lead to it, or "".
func nearestCommand(cmd *cobra.Command, typed string) string {
	var words []string
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			words = append(append(words, sub.Name()), sub.Aliases...)
		}
	}
	if word := nearest(typed, words); word != "" {
		return cmd.CommandPath() + " " + word
	}
	return ""
}

// nearestOption returns the option that a mistyped one most likely means, or "".
func nearestOption(cmd *cobra.Command, typed string) string {
	var words []string
	for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && len(f.Name) > 1 {
				words = append(words, f.Name)
			}
		})
	}
	if word := nearest(typed, words); word != "" {
		return "--" + word
	}
	return ""
}

// nearest returns the word that is the fewest typing errors away, one error for
// short words and two for others, or that begins with what was typed.
func nearest(typed string, words []string) string {
	best, fewest := "", 2
	if len(typed) > 4 {
		fewest = 3
	}
	if len(typed) < 2 || len(typed) > maxTyped {
		return ""
	}
	for _, w := range words {
		if n := typingErrors(typed, w); n < fewest {
			best, fewest = w, n
		}
	}
	if best == "" && len(typed) > 2 {
		if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, typed) }); i >= 0 {
			best = words[i]
		}
	}
	return best
}

// maxTyped bounds the words that are compared, in bytes.
const maxTyped = 40

// typingErrors counts how many bytes must be inserted, dropped or changed, or
// swapped with their neighbor, to make b of a.
func typingErrors(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			n := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				n = min(n, rows[i-2][j-2]+1)
			}
			rows[i][j] = n
		}
	}
	return rows[len(a)][len(b)]
}
