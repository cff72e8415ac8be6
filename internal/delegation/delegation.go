// Package delegation follows names that lead to other names. An anchor is such a name: its
// key is kept away, its long record leads to a hot name, and that has a key at hand. An anchor
// is only as good as every name behind it.
package delegation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// MaxHops bounds how many names are followed, as in a resolve.
const MaxHops = 32

// Target returns the name to which a value leads; ok is false if it leads to content or to
// a domain.
func Target(value string) (name ipns.Name, ok bool) {
	rest, ok := strings.CutPrefix(value, "/ipns/")
	if !ok {
		return ipns.Name{}, false
	}
	text, _, _ := strings.Cut(rest, "/")
	name, err := ipns.ParseName(text)
	return name, err == nil
}

// Hop is a name on the way from an anchor to its content.
type Hop struct {
	Name ipns.Name
	// Record is the newest that is known of the name; nil: none is.
	Record *ipns.Record
	// EOL is that of the newest record that was seen, even if only that is known; zero:
	// none was.
	EOL time.Time
	// Life is for how long the record was signed, as far as is known; 0: unknown.
	Life time.Duration
}

// Ends reports whether less than a quarter of the life of a hop's record is left.
func (h Hop) Ends(now time.Time) bool {
	return !h.EOL.IsZero() && (h.Expired(now) || h.EOL.Sub(now) < h.Life/4)
}

// Expired reports whether the newest record that was seen has expired.
func (h Hop) Expired(now time.Time) bool { return !h.EOL.IsZero() && !now.Before(h.EOL) }

// Follow yields the names behind an entry, by what the Book has and find, if that is not nil,
// finds of others. A chain that comes back to a name ends there.
func Follow(ctx context.Context, b *names.Book, e recordstore.Entry, find func(context.Context, ipns.Name) *ipns.Record) ([]Hop, error) {
	if e.Record == nil {
		return nil, nil
	}
	seen := map[ipns.Name]bool{e.Name: true}
	var hops []Hop
	next, ok := Target(e.Record.Value())
	for ok && !seen[next] && len(hops) < MaxHops {
		seen[next] = true
		h := Hop{Name: next}
		have, err := b.Get(ctx, next)
		switch {
		case err == nil:
			h.Record, h.Life = have.Record, life(have)
		case !errors.Is(err, recordstore.ErrNotFound):
			return hops, err
		default: // one that has expired is forgotten, but for its mark
			mark, err := b.Seen(ctx, next)
			if err != nil {
				return hops, err
			}
			h.EOL = mark.EOL
		}
		if h.Record == nil && find != nil {
			h.Record = find(ctx, next)
		}
		if h.Record != nil {
			h.EOL = h.Record.EOL()
		}
		hops = append(hops, h)
		if h.Record == nil {
			break
		}
		next, ok = Target(h.Record.Value())
	}
	return hops, nil
}

// life is for how long the record of an entry was signed, as far as is known.
func life(e recordstore.Entry) time.Duration {
	if e.Span > 0 || e.Record == nil {
		return e.Span
	}
	return max(e.Record.EOL().Sub(e.Changed), 0)
}

// Risk says why a name that leads to others may be lost, by what the Book has; "": nothing
// is known, or it leads to content. of says what else is known of a name.
func Risk(ctx context.Context, b *names.Book, e recordstore.Entry, now time.Time, of func(recordstore.Entry) string) string {
	if e.Record == nil {
		return ""
	}
	if _, ok := Target(e.Record.Value()); !ok {
		return ""
	}
	hops, err := Follow(ctx, b, e, nil)
	if err != nil {
		return ""
	}
	for _, h := range hops {
		switch {
		case h.Expired(now):
			return fmt.Sprintf("it leads to %s, whose record expired %s", h.Name, h.EOL.UTC().Format(time.RFC3339))
		case h.Ends(now):
			return fmt.Sprintf("it leads to %s, whose record ends %s", h.Name, h.EOL.UTC().Format(time.RFC3339))
		}
		if have, err := b.Get(ctx, h.Name); err == nil {
			if why := of(have); why != "" {
				return fmt.Sprintf("it leads to %s: %s", h.Name, why)
			}
		}
	}
	return ""
}
