package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

var (
	update = flag.Bool("update", false, "write docs/cli.md again")
	manDir = flag.String("man", "", "write the man pages into this folder")
)

const cliPage = "../../docs/cli.md"

// docs/cli.md is what the commands say of themselves. After a change of them,
// write it again: go test ./cmd/ipns -run TestPage -update
func TestPageShowsEveryCommand(t *testing.T) {
	page := makePage()
	if *update {
		if err := os.WriteFile(cliPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(cliPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(old) != page {
		t.Error("docs/cli.md is not what the commands say; run 'go test ./cmd/ipns -run TestPage -update'")
	}
	words, _ := commands()
	for _, at := range words {
		if !strings.Contains(page, "\n### ipns "+at+"\n") {
			t.Errorf("docs/cli.md has no section for 'ipns %s'", at)
		}
	}
}

// makePage makes docs/cli.md.
func makePage() string {
	root := (&cli{}).root()
	var b strings.Builder
	b.WriteString("# The command line\n\n<!-- Made by `go test ./cmd/ipns -run TestPage -update`. Do not edit. -->\n\n")
	fmt.Fprintf(&b, "```\n%s\n```\n\n", root.Long)
	b.WriteString("Every command also takes:\n\n")
	optionTable(&b, root.PersistentFlags())
	b.WriteString("`ipns --version` shows the version, `ipns COMMAND --help` what stands here of a command.\n\n")
	b.WriteString("In the examples `$CID` stands for content that was added, `$NAME` for an IPNS name, `$PEER` for the address of\n" +
		"a node and `$NODE` for its peer id; `site` is a folder, `blog` and `old` are keys.\n")
	for _, chapter := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(chapter.Title, ":"))
		for _, cmd := range root.Commands() {
			if cmd.GroupID == chapter.ID {
				section(&b, cmd)
			}
		}
	}
	return b.String()
}

// section writes what a command says of itself and of its subcommands.
func section(b *strings.Builder, cmd *cobra.Command) {
	if cmd.Hidden {
		return
	}
	_, all := commands()
	if _, acts := all[strings.TrimSpace(commandPath(cmd))]; acts {
		fmt.Fprintf(b, "\n### %s\n\n", cmd.CommandPath())
		said := cmd.Long
		if said == "" {
			said = cmd.Short + "."
		}
		fmt.Fprintf(b, "%s\n\n", strings.ReplaceAll(said, "*", `\*`))
		if len(cmd.Aliases) > 0 {
			fmt.Fprintf(b, "Also `%s`.\n\n", strings.Join(cmd.Aliases, "`, `"))
		}
		fmt.Fprintf(b, "```\n%s\n```\n\n", cmd.UseLine())
		optionTable(b, cmd.NonInheritedFlags())
		fmt.Fprintf(b, "```sh\n%s\n```\n", strings.Join(examplesOf(cmd), "\n"))
	}
	for _, sub := range cmd.Commands() {
		section(b, sub)
	}
}

// optionTable writes a table of the options that people see.
func optionTable(b *strings.Builder, flags *pflag.FlagSet) {
	var rows []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand == f.Name {
			name = "`-" + f.Name + "`"
		} else if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		kind, said := pflag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" && f.DefValue != "0s" {
			said += " (default " + f.DefValue + ")"
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |\n", name, kind, strings.ReplaceAll(strings.NewReplacer("<", "\\<", ">", "\\>").Replace(said), "|", "\\|")))
	})
	if len(rows) > 0 {
		fmt.Fprintf(b, "| option | value | |\n|---|---|---|\n%s\n", strings.Join(rows, ""))
	}
}

// Each command has a man page. 'make man' writes them into a folder.
func TestManPagesAreMade(t *testing.T) {
	dir := *manDir
	if dir == "" {
		dir = t.TempDir()
	}
	root := (&cli{}).root()
	root.DisableAutoGenTag = true
	keepAngles(root)
	if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "ipns " + root.Version}, dir); err != nil {
		t.Fatal(err)
	}
	words, all := commands()
	for _, at := range words {
		b, err := os.ReadFile(filepath.Join(dir, "ipns-"+strings.ReplaceAll(at, " ", "-")+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		page := strings.ReplaceAll(string(b), `\&`, "")
		if !strings.Contains(page, ".SH EXAMPLE") || !strings.Contains(page, all[at].UseLine()) {
			t.Errorf("the man page of 'ipns %s' lacks %q or its examples:\n%s", at, all[at].UseLine(), page)
		}
	}
}

// keepAngles keeps what stands in angle brackets from being read as HTML.
func keepAngles(cmd *cobra.Command) {
	escape := strings.NewReplacer("<", `\<`, ">", `\>`).Replace
	cmd.Use, cmd.Long = escape(cmd.Use), escape(cmd.Long)
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) { f.Usage = escape(f.Usage) })
	}
	for _, sub := range cmd.Commands() {
		keepAngles(sub)
	}
}

// Each command is run by a script, which says how it behaves.
func TestEveryCommandIsRunByAScript(t *testing.T) {
	root := (&cli{}).root()
	run := map[string]bool{}
	err := filepath.WalkDir("testdata/script", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			if i := slices.Index(fields, "ipns"); i > 0 && (fields[0] == "exec" || fields[0] == "start") {
				if cmd, _, err := root.Find(fields[i+1:]); err == nil {
					run[strings.TrimSpace(commandPath(cmd))] = true
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	words, _ := commands()
	for _, at := range words {
		if !run[at] && refusedExamples[at] == "" {
			t.Errorf("no script in testdata/script runs 'ipns %s'", at)
		}
	}
}
