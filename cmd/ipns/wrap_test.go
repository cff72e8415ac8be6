package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWrapKeepsWordsAndColumns(t *testing.T) {
	long := strings.Repeat("word ", 20)
	for text, want := range map[string]string{
		"short\n":                       "short\n",
		"  up    " + long:               "  up    " + strings.Repeat("word ", 13) + "word\n        " + strings.TrimSpace(strings.Repeat("word ", 6)) + "\n",
		long + "\n":                     strings.Repeat("word ", 15) + "word\n" + strings.TrimSpace(strings.Repeat("word ", 4)) + "\n",
		strings.Repeat("x", 200) + "\n": strings.Repeat("x", 200) + "\n",
	} {
		if got := wrap(text); got != want {
			t.Errorf("%q:\n%q, want\n%q", text, got, want)
		}
	}
}

// Or wrap would break each line that is too long, and leave a short one after it.
func TestLongTextsAreWrittenInTheWidthOfATerminal(t *testing.T) {
	words, all := commands()
	for _, at := range words {
		for line := range strings.Lines(all[at].Long) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > helpWidth {
				t.Errorf("%s: %d characters: %s", at, n, line)
			}
		}
	}
}

func TestHelpFitsATerminal(t *testing.T) {
	words, _ := commands()
	for _, at := range words {
		root := (&cli{}).root()
		var b bytes.Buffer
		root.SetOut(&b)
		root.SetArgs(append(strings.Fields(at), "--help"))
		if err := root.Execute(); err != nil {
			t.Errorf("%s: %v", at, err)
		}
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > helpWidth {
				t.Errorf("%s: %d characters: %s", at, n, line)
			}
		}
	}
}
