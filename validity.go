package ipns

import (
	"errors"
	"fmt"
	"time"
)

// validityEOL is the only validity type: the record is valid until a time. validityText
// is how SignatureV1 spells it.
const (
	validityEOL  = 0
	validityText = "EOL"
)

// maxValidity bounds the text of an EOL, in bytes.
const maxValidity = 64

var errNotRFC3339 = errors.New("not an RFC 3339 date and time")

// parseValidity parses the EOL of a record: RFC 3339 with upper-case T and Z, any
// number of fraction digits (those below a nanosecond are dropped), Z or a numeric
// offset. Leap seconds are rejected, since a clock never shows them.
func parseValidity(b []byte) (time.Time, error) {
	const fixed = len("2006-01-02T15:04:05")
	if len(b) <= fixed || len(b) > maxValidity {
		return time.Time{}, errNotRFC3339
	}
	if b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return time.Time{}, errNotRFC3339
	}
	year := number(b[0:4])
	month := number(b[5:7])
	day := number(b[8:10])
	hour := number(b[11:13])
	minute := number(b[14:16])
	second := number(b[17:19])
	if year < 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return time.Time{}, errNotRFC3339
	}
	nanosecond, rest, ok := fraction(b[fixed:])
	if !ok {
		return time.Time{}, errNotRFC3339
	}
	offset, ok := zone(rest)
	if !ok {
		return time.Time{}, errNotRFC3339
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanosecond, time.UTC)
	return t.Add(-offset), nil
}

// number reads decimal digits; -1 if there are others.
func number(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// fraction reads the optional fraction of a second at the start of b.
func fraction(b []byte) (nanosecond int, rest []byte, ok bool) {
	if b[0] != '.' {
		return 0, b, true
	}
	b = b[1:]
	i, unit := 0, 100_000_000
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		nanosecond += int(b[i]-'0') * unit
		unit /= 10
	}
	return nanosecond, b[i:], i > 0
}

// zone reads Z or ±hh:mm, which must be all of b.
func zone(b []byte) (time.Duration, bool) {
	if len(b) == 1 && b[0] == 'Z' {
		return 0, true
	}
	if len(b) != len("+00:00") || b[3] != ':' || b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	hours, minutes := number(b[1:3]), number(b[4:6])
	if hours < 0 || hours > 23 || minutes < 0 || minutes > 59 {
		return 0, false
	}
	d := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if b[0] == '-' {
		d = -d
	}
	return d, true
}

// appendValidity writes an EOL as Kubo does: UTC, without trailing zeros in the
// fraction.
func appendValidity(dst []byte, eol time.Time) ([]byte, error) {
	eol = eol.UTC()
	if eol.IsZero() {
		return nil, fmt.Errorf("%w: no end of life", ErrValidity)
	}
	if y := eol.Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("%w: year %d is not in 0..9999", ErrValidity, y)
	}
	return eol.AppendFormat(dst, time.RFC3339Nano), nil
}
