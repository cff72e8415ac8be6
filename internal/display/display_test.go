package display

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestValuesCannotForgeLinesNorCommandTerminals(t *testing.T) {
	for value, want := range map[string]string{
		"plain ü 日本　語 👍":       "plain ü 日本　語 👍",
		`a\nb`:                 `a\nb`,
		"a\nPublished to EVIL": `a\nPublished to EVIL`,
		"a\r\tb":               `a\r\tb`,
		"\x1b[31m":             `\x1b[31m`,
		"\x1b]0;title\x07":     `\x1b]0;title\a`,
		"\u009b31m":            `\u009b31m`,
		"\x9b31m":              `\x9b31m`, // no UTF-8
		"a\u202egpj.exe":       `a\u202egpj.exe`,
		"\u2028\u2029\u200f":   `\u2028\u2029\u200f`,
		"\u2066x\u2069\ufeff":  `\u2066x\u2069\ufeff`,
		"\U000e0041":           `\U000e0041`,
		"\x00\x7f":             `\x00\x7f`,
		"\ufffd":               "\ufffd",
	} {
		if got := Escape(value); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
		if IsPlain(value) != (value == want) {
			t.Errorf("%q: plain: %v", value, IsPlain(value))
		}
		if got := Sprintf("x\t%s|%v\n", value, errors.New(value)); got != "x\t"+want+"|"+want+"\n" {
			t.Errorf("%q: %q", value, got)
		}
	}
}

func TestSprintfFormatsAsFmtDoes(t *testing.T) {
	type named string
	for _, c := range []struct {
		format string
		args   []any
	}{
		{"%s %d %5d|%-7s|%8s|%q|%v|%%|%.1f", []any{"a", 1, 2, "b", time.Second, "c\n", []string{"d"}, 1.25}},
		{"%x %v %+v", []any{[]byte{1, 2}, nil, struct{ A int }{1}}},
		{"%s %v", []any{named("a"), errors.New("b")}},
	} {
		want := fmt.Sprintf(c.format, c.args...)
		if got := Sprintf(c.format, c.args...); got != want {
			t.Errorf("%s: %q, want %q", c.format, got, want)
		}
	}
}

func TestErrorsHaveALineEach(t *testing.T) {
	evil := errors.New("a\nError: forged")
	for err, want := range map[error]string{
		evil:                                            `a\nError: forged`,
		errors.Join(evil, errors.New("b")):              `a\nError: forged` + "\nb",
		fmt.Errorf("c: %w", errors.Join(evil)):          `c: a\nError: forged`,
		fmt.Errorf("%w and %w", evil, evil):             `a\nError: forged and a\nError: forged`,
		errors.Join(errors.Join(evil), errors.New("b")): `a\nError: forged` + "\nb",
	} {
		if got := Error(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The output never contains a control sequence, and JSON stays the same JSON.
func TestWriterPassesNoControls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		var b strings.Builder
		if n, err := (Writer{&b}).Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
		for line := range strings.Lines(b.String()) {
			if line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", ""); !IsPlain(line) {
				t.Fatalf("%q becomes %q", text, line)
			}
		}
		b.Reset()
		if err := json.NewEncoder(Writer{&b}).Encode(text); err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal([]byte(b.String()), &back); err != nil || back != strings.ToValidUTF8(text, string(utf8.RuneError)) {
			t.Fatalf("%q comes back as %q, %v", text, back, err)
		}
	})
}
