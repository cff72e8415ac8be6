// Package display writes text for people: results, notes, errors, logs.
//
// Values in such a text may come from anyone: a record, a file name, the reply of a
// server. [Sprintf] and similar functions escape characters that would not show as
// themselves: line ends and tabs, which forge lines and columns that scripts read,
// terminal controls (ESC, OSC, C1), and invisible ones, such as those that change the
// writing direction. The format belongs to the program and is not escaped.
//
// [Writer] is the last filter before the terminal: it escapes all of these but line
// ends and tabs in everything it gets. Escaped JSON is still the same JSON.
//
// [Lines] is the same for the loggers of libraries.
//
// Raw bytes that a user asks for (files, records) bypass both.
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

// IsPlain reports whether all characters of a value show as themselves.
func IsPlain(s string) bool {
	for i, r := range s {
		if !shows(r) || r == utf8.RuneError && isBroken(s[i:]) {
			return false
		}
	}
	return true
}

func shows(r rune) bool { return unicode.IsGraphic(r) }

// isBroken reports whether s begins with a byte that is not valid UTF-8.
func isBroken(s string) bool {
	_, size := utf8.DecodeRuneInString(s)
	return size == 1
}

// Escape returns a value with all characters escaped that do not show as themselves.
func Escape(s string) string { return escape(s, false) }

// Clean escapes like Escape, but keeps line ends and tabs, which it takes for part of
// the text.
func Clean(text string) string { return escape(text, true) }

// escape escapes a value, or a whole text, whose line ends and tabs it keeps.
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
			fmt.Fprintf(&b, `\u%04x`, r) // also valid in JSON
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

// Error returns the text of an error, with joined errors on lines of their own.
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

// A Writer escapes characters that do not show as themselves, except line ends and
// tabs. A write must not end within a character.
type Writer struct{ W io.Writer }

func (w Writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.W, escape(string(p), true)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Lines is a Writer for a logger that writes one entry at a time: it escapes the line
// ends within an entry too, so that no entry looks like two.
type Lines struct{ W io.Writer }

func (l Lines) Write(p []byte) (int, error) {
	entry := strings.ReplaceAll(strings.TrimSuffix(string(p), "\n"), "\n", `\n`)
	if _, err := io.WriteString(l.W, escape(entry, true)+"\n"); err != nil {
		return 0, err
	}
	return len(p), nil
}
