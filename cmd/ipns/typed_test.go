package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// typed is a page whose commands are typed, one after the other: the lines of its sh blocks. A text
// block after one is what the last line prints, and if that is an error, the line is to fail.
type typed struct {
	page          string
	section       string            // only what follows this heading of the second level; empty: all
	before, after map[string]string // what of a script stands beside a line
	instead       map[string]string // what is typed for a line that means another machine
}

// daemons are the lines that do not end by themselves, and their logs.
var daemons = map[string]string{
	"ipns daemon": "daemon.log", "ipns daemon --passphrase-file=secret": "daemon.log", "ipns --repo-dir=second daemon": "second.log",
}

// run types every line of the page.
func (p typed) run(t *testing.T, begin string) {
	t.Helper()
	page := p.text(t)
	var script, files strings.Builder
	script.WriteString(begin)
	lines, said := 0, 0
	blocks := regexp.MustCompile("(?sm)^ *```(\\w+)\n(.*?)\n *```$").FindAllStringSubmatch(page, -1)
	for i, block := range blocks {
		if block[1] != "sh" {
			continue
		}
		answer := ""
		if i+1 < len(blocks) && blocks[i+1][1] == "text" {
			answer = blocks[i+1][2]
		}
		typing := strings.Split(block[2], "\n")
		for j, line := range typing {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			lines++
			script.WriteString(p.before[line])
			last := j == len(typing)-1 && answer != ""
			fails := last && regexp.MustCompile(`(?m)^ *Error: `).MatchString(answer)
			write := line
			if p.instead[line] != "" {
				write = p.instead[line]
			}
			log := daemons[line]
			switch {
			case log != "" && !fails:
				fmt.Fprintf(&script, "start %s 'Daemon is ready' %s\n", log, write)
			default:
				not := ""
				if fails {
					not = "! "
				}
				fmt.Fprintf(&script, "%sexec sh -c '%s'\n", not, strings.ReplaceAll(write, "'", "''"))
				log = "stdout stderr"
			}
			if last {
				said++
				fmt.Fprintf(&script, "prints said-%d %s\n", said, log)
				fmt.Fprintf(&files, "-- said-%d --\n%s\n", said, answer)
			}
			script.WriteString(p.after[line])
		}
	}
	if lines == 0 || lines < len(p.after) {
		t.Fatalf("the page has only %d lines to type", lines)
	}
	for _, known := range []map[string]string{p.before, p.after, p.instead} {
		for line := range known {
			if !strings.Contains(page, line+"\n") {
				t.Errorf("the page has no line %q", line)
			}
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page.txtar"), []byte(script.String()+files.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, scripts(dir))
}

// text is the page, or its section.
func (p typed) text(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(p.page)
	if err != nil {
		t.Fatal(err)
	}
	if p.section == "" {
		return string(page)
	}
	_, section, ok := strings.Cut(string(page), "\n## "+p.section+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", p.page, p.section)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// prints wants the text of a file in what was printed, wherever lines break. In it … stands for
// anything.
func prints(ts *testscript.TestScript, _ bool, args []string) {
	var got strings.Builder
	for _, from := range args[1:] {
		got.WriteString(ts.ReadFile(from))
	}
	want := strings.Join(strings.Fields(ts.ReadFile(args[0])), " ")
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", "[^\x00]*?")
	all := strings.Join(strings.Fields(got.String()), " ")
	if !regexp.MustCompile(pattern).MatchString(all) {
		ts.Fatalf("this was to be printed:\n%s\nbut it was:\n%s", want, all)
	}
}
