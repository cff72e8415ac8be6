package recordstore

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/goipns/ipns"
)

// Settle returns the entry to store when Swap replaces old with next: Mark and Next
// never go back, and the version is incremented. It returns ErrConflict if next was
// not made from old. Implementations of Store call it between reading and writing;
// old is the zero Entry if there is none. A returned Version of 0 means: forget the
// name.
func Settle(old, next Entry) (Entry, error) {
	forget := next.Origin == Seen
	if next.Version != old.Version || forget && old.Version == 0 {
		return Entry{}, fmt.Errorf("swap %s: stored version is %d, not %d: %w", next.Name, old.Version, next.Version, ErrConflict)
	}
	if err := check(next); err != nil {
		return Entry{}, fmt.Errorf("swap %s: %w", next.Name, err)
	}
	if forget {
		if old.Origin == Own {
			return Entry{}, fmt.Errorf("forget %s: its key is, or was, here", next.Name)
		}
		return Entry{Name: old.Name, Mark: old.Mark, Origin: Seen}, nil
	}
	if old.Mark.Compare(next.Mark) > 0 {
		next.Mark = old.Mark
	}
	next.Next = max(next.Next, old.Next)
	next.Rivals = slices.Clone(next.Rivals)
	next.Staged = slices.Clone(next.Staged)
	next.Changed = next.Changed.Round(0).UTC()
	next.Version++
	next.Damaged = false
	return next, nil
}

// check rejects an inconsistent entry: it comes from a bug in the caller and must not
// be stored.
func check(e Entry) error {
	switch {
	case e.Name.IsZero():
		return fmt.Errorf("entry has no name")
	case len(e.Rivals) > MaxRivals:
		return fmt.Errorf("entry has %d rivals, the limit is %d", len(e.Rivals), MaxRivals)
	case e.Span < 0:
		return fmt.Errorf("entry has a record that was signed for %v", e.Span)
	case len(e.Staged) > MaxStaged:
		return fmt.Errorf("entry has %d staged records, the limit is %d", len(e.Staged), MaxStaged)
	}
	if e.Record != nil && e.Record.Name() != e.Name {
		return fmt.Errorf("entry has a record of %s", e.Record.Name())
	}
	if e.Rival != nil && e.Rival.Name() != e.Name {
		return fmt.Errorf("entry has a rival of another name")
	}
	if e.Pending != nil && e.Pending.Name() != e.Name {
		return fmt.Errorf("entry has a pending record of another name")
	}
	for _, r := range slices.Concat(e.Rivals, e.Staged) {
		if r == nil || r.Name() != e.Name {
			return fmt.Errorf("entry has a rival or staged record of another name")
		}
	}
	return nil
}

// Kept returns the records of the entry that belong in its history: Record and its
// rivals.
func (e Entry) Kept() []*ipns.Record {
	if e.Record == nil {
		return nil
	}
	return append([]*ipns.Record{e.Record}, e.Rivals...)
}

// PastKey identifies a version of a name in its history: records with equal keys
// replace each other. In byte order, lower sequences come first.
type PastKey [16]byte

// PastKeyOf returns the key of a record: its sequence and a hash of its value. A
// renewal has the key of the record that it renews.
func PastKeyOf(rec *ipns.Record) PastKey {
	var k PastKey
	seq := rec.Sequence()
	for i := range 8 {
		k[i] = byte(seq >> (56 - 8*i))
	}
	sum := sha256.Sum256([]byte(rec.Value()))
	copy(k[8:], sum[:])
	return k
}
