package main

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// helpWidth is that of a terminal as it comes, in characters.
const helpWidth = 80

// wrapHelp has the help of all commands wrapped.
func wrapHelp(root *cobra.Command) {
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		out := cmd.OutOrStdout()
		var b bytes.Buffer
		cmd.SetOut(&b)
		help(cmd, args)
		cmd.SetOut(out)
		_, _ = out.Write([]byte(wrap(b.String()))) // it only shows
	})
}

// column is what a line of a list begins with, before its text.
var column = regexp.MustCompile(`^ *\S[^\n]*? {2,}|^ *`)

// wrap breaks lines that are too long between words. What goes on is below the text it
// belongs to. Words are never broken.
func wrap(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		indent := utf8.RuneCountInString(column.FindString(line))
		if utf8.RuneCountInString(strings.TrimRight(line, "\n")) <= helpWidth || indent > helpWidth/2 {
			b.WriteString(line)
			continue
		}
		head := string([]rune(line)[:indent])
		b.WriteString(head)
		at := indent
		for i, word := range strings.Fields(line[len(head):]) {
			n := utf8.RuneCountInString(word)
			switch {
			case i == 0:
			case at+1+n > helpWidth:
				b.WriteString("\n" + strings.Repeat(" ", indent))
				at = indent
			default:
				b.WriteByte(' ')
				at++
			}
			b.WriteString(word)
			at += n
		}
		b.WriteByte('\n')
	}
	return b.String()
}
