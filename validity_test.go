package ipns

import (
	"testing"
	"time"
)

// FuzzValidity compares with the time package, which accepts more: what is
// accepted here it accepts too, as the same instant.
func FuzzValidity(f *testing.F) {
	for _, s := range []string{
		"2125-01-01T00:00:00Z", "2124-02-29T23:59:59.123456789+14:00", "2125-01-01T00:00:00.5-00:00", "0000-01-01T00:00:00Z",
		"2125-01-01T00:00:00,5Z", "2125-01-01T24:00:00Z", "2125-01-01T00:00:00.12345678901234567890Z", "9999-12-31T23:59:60Z",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseValidity([]byte(s))
		if err != nil {
			return
		}
		want, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || !got.Equal(want) {
			t.Fatalf("%q: %v, the time package says %v, %v", s, got, want, err)
		}
		// Written again it is the same instant, if it has a year of four digits.
		b, err := appendValidity(nil, got)
		if err != nil {
			if y := got.Year(); y >= 0 && y <= 9999 && !got.IsZero() {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if again, err := parseValidity(b); err != nil || !again.Equal(got) {
			t.Fatalf("%q is written as %q, which is %v, %v", s, b, again, err)
		}
	})
}
