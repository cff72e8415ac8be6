package ipns

import (
	"bytes"
	"cmp"
	"time"
)

// Compare orders two records of one name: negative if a is older than b, 0 if they are
// the same bytes, positive if a is newer. The record with the higher sequence is newer,
// then the later EOL to the nanosecond, then the larger bytes, so that every node
// chooses the same record in whatever order it sees them. Compare ignores the clock: an
// expired record can be the newest. The specification orders by sequence only; the rest
// is what all servers of the public DHT do.
func Compare(a, b *Record) int {
	if c := cmp.Compare(a.sequence, b.sequence); c != 0 {
		return c
	}
	if c := a.eol.Compare(b.eol); c != 0 {
		return c
	}
	return bytes.Compare(a.raw, b.raw)
}

// Best returns the newest of the records that are not expired at now, or nil if there
// is none. Nil records are skipped, so the list may hold the results of failed calls.
func Best(now time.Time, records ...*Record) *Record {
	var best *Record
	for _, r := range records {
		if r != nil && !r.Expired(now) && (best == nil || Compare(r, best) > 0) {
			best = r
		}
	}
	return best
}
