// Package display writes what people read: results as text, notes, errors, logs.
//
// A value in such a text may come from anybody: a record, a file name, the reply
// of a server. [Sprintf] and the functions like it escape what would not show as
// itself: line ends and tabs, which forge lines and columns that scripts read,
// the controls that a terminal obeys (ESC, OSC, C1), and the invisible ones, such
// as those that turn the direction of writing. The format is the program's own,
// and is written as it is.
//
// [Writer] is the last door before the terminal: it escapes all of them but line
// ends and tabs, in whatever reaches it. What it makes of JSON is the same JSON.
//
// Bytes that are asked for as they are (files, records) take neither way.
package display

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// IsPlain reports whether a value shows as itself.
func IsPlain(s string) bool {
	for i, r := range s {
		if !shows(r) || r == utf8.RuneError && isBroken(s[i:]) {
			return false
		}
	}
	return true
}

func shows(r rune) bool { return unicode.IsGraphic(r) }

// isBroken reports whether s begins with a byte that is no UTF-8.
func isBroken(s string) bool {
	_, size := utf8.DecodeRuneInString(s)
	return size == 1
}

// Escape returns a value with what does not show as itself escaped.
func Escape(s string) string { return escape(s, false) }

// Clean returns a text with all escaped that does not show as itself, but for
// line ends and tabs, which are taken for the text's own.
func Clean(text string) string { return escape(text, true) }

// escape escapes a value, or all of a text, whose line ends and tabs are its own.
func escape(s string, whole bool) string {
	if IsPlain(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case shows(r), whole && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case !whole: // as Go does
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r) // which is JSON, too
		default:
			high, low := utf16.EncodeRune(r) // the same
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
		s = s[size:]
	}
	return b.String()
}

// A value is an argument of a format.
type value struct{ any }

// Format implements [fmt.Formatter].
func (v value) Format(f fmt.State, verb rune) {
	_, _ = io.WriteString(f, Escape(fmt.Sprintf(fmt.FormatString(f, verb), v.any)))
}

func values(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = value{a}
	}
	return out
}

// Sprintf is [fmt.Sprintf] with each argument escaped.
func Sprintf(format string, args ...any) string { return fmt.Sprintf(format, values(args)...) }

// Fprintf is [fmt.Fprintf] with each argument escaped.
func Fprintf(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format, values(args)...) }

// Fprint is [fmt.Fprint] with each argument escaped.
func Fprint(w io.Writer, args ...any) { fmt.Fprint(w, values(args)...) }

// Fprintln is [fmt.Fprintln] with each argument escaped.
func Fprintln(w io.Writer, args ...any) { fmt.Fprintln(w, values(args)...) }

// Error returns the text of an error. Each of several that were joined has a line.
func Error(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines, raw []string
		for _, e := range joined.Unwrap() {
			lines, raw = append(lines, Error(e)), append(raw, e.Error())
		}
		if err.Error() == strings.Join(raw, "\n") {
			return strings.Join(lines, "\n")
		}
	}
	return Escape(err.Error())
}

// A Writer escapes what does not show as itself, but for line ends and tabs.
// A write may not end within a character.
type Writer struct{ W io.Writer }

func (w Writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.W, escape(string(p), true)); err != nil {
		return 0, err
	}
	return len(p), nil
}
