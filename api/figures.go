package api

import (
	"time"

	"github.com/dustin/go-humanize"
)

// How provide stat writes figures.

func orNA(ok bool, text string) string {
	if !ok {
		return "N/A"
	}
	return text
}

func span(d time.Duration) string {
	if d > time.Second {
		return d.Truncate(100 * time.Millisecond).String()
	}
	return d.Truncate(time.Microsecond).String()
}

func clock(t time.Time) string { return orNA(!t.IsZero(), t.Format("2006-01-02 15:04:05")) }

func average(f float64) string { return orNA(f > 0, humanize.CommafWithDigits(f, 1)) }

func integer(n int) string { return humanize.CommafWithDigits(float64(n), 0) }

func si[T int | int64](n T) string {
	v, unit := humanize.ComputeSI(float64(n))
	return humanize.CommafWithDigits(v, 1) + unit
}

// number is a number with a unit, and in full if that differs.
func number(n float64) string {
	v, unit := humanize.ComputeSI(n)
	short, full := humanize.CommafWithDigits(v, 0)+unit, humanize.CommafWithDigits(n, 0)
	if short != full {
		return short + " (" + full + ")"
	}
	return short
}
