package recordstore

import (
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// Bounds of what is kept of one name.
const (
	HostedHistory = 16       // versions of a hosted name
	MaxRivals     = 4        // records beside Entry.Record under the same sequence
	MaxStaged     = 64       // records signed in advance
	MaxReceipt    = 64 << 10 // bytes of a receipt
	KeptChanges   = 1        // of its swaps, for those who read Changes
)

// Origin says why the node keeps a name. Higher ones promise more.
type Origin uint8

const (
	// Seen names were merely looked up: nothing but a mark is kept.
	Seen Origin = iota + 1
	// Hosted names are somebody else's that this node keeps alive.
	Hosted
	// Own names have, or had, their key here.
	Own
)

func (o Origin) String() string {
	switch o {
	case Seen:
		return "seen"
	case Hosted:
		return "hosted"
	case Own:
		return "own"
	}
	return "unknown"
}

// Mark is the highest version of a name ever seen or used: it outlives the
// record, so that neither expiry nor deletion brings an older one back.
// The zero Mark, which has no EOL, stands for none.
type Mark struct {
	Sequence uint64
	EOL      time.Time
	Hash     [32]byte // of the signed data
}

// MarkOf returns the mark that a record sets.
func MarkOf(rec *ipns.Record) Mark {
	return Mark{Sequence: rec.Sequence(), EOL: rec.EOL(), Hash: rec.DataHash()}
}

// IsZero reports whether there is no mark.
func (m Mark) IsZero() bool { return m.EOL.IsZero() }

// Compare orders marks by sequence, then by EOL; none is below every other.
func (m Mark) Compare(other Mark) int {
	switch {
	case m.IsZero() && other.IsZero():
		return 0
	case m.IsZero():
		return -1
	case other.IsZero():
		return 1
	case m.Sequence < other.Sequence:
		return -1
	case m.Sequence > other.Sequence:
		return 1
	}
	return m.EOL.Compare(other.EOL)
}

// Generation identifies one life of a store, from its making or restoration to
// the next restoration. The zero Generation is no life of any store.
type Generation [16]byte

// Entry is what the store vouches for about one name. Times are kept to the
// nanosecond, in UTC.
type Entry struct {
	Name ipns.Name
	// Record is the newest known, by ipns.Compare; nil if nothing is published
	// yet or nothing but the mark is known.
	Record *ipns.Record
	// Rivals are records under the same sequence as Record but with another
	// value: somebody else signs with the key. A higher sequence clears them.
	Rivals []*ipns.Record
	// Forks counts the rivals ever met.
	Forks uint64
	Mark  Mark
	// Next is the lowest sequence that was never given to a signer.
	Next   uint64
	Origin Origin
	// Tenant is who asked to have the name kept; empty: the operator. Hosting for
	// others will count and bill by it.
	Tenant string
	// Staged records are signed in advance, to take over when Record nears its
	// end; in the order of Compare. Signing offline will fill them.
	Staged []*ipns.Record
	// Known is the generation of the store in which nothing newer than Mark was
	// known to exist, because the key was made here or a complete search said so.
	Known Generation
	// Entered is the generation of the store in which Record came in, or others were
	// asked and had nothing newer. If it is an earlier one, they may have by now.
	Entered Generation
	// Rival is the record of another holder of the key that came in last over one
	// from here; nil: none has since the last publish here.
	Rival *ipns.Record
	// Span is the lifetime with which Record was signed here; 0: it was signed
	// elsewhere, or by a version that did not keep that.
	Span time.Duration
	// Changed is when Record became the newest.
	Changed time.Time
	// Version counts the swaps of the entry; 0 in an entry that is not stored.
	Version uint64
	// Damaged says that what is stored cannot be read, and that this is what is
	// known from elsewhere. It is not stored: a Swap mends the entry.
	Damaged bool
}

// Upkeep is bookkeeping about the announcements of a name.
type Upkeep struct {
	Name      ipns.Name
	Due       time.Time // when to announce again
	LastPut   time.Time // when it was last announced to anybody
	Announced [32]byte  // the Hash of the record that was announced then
	Holders   int       // how many targets took it then
	LastErr   string    // why it did not go as wanted; empty: it did
	// Receipt is that of that announcement. Its targets are not kept if it would
	// have more than MaxReceipt bytes.
	Receipt routing.Receipt
}

// Work is an entry together with its bookkeeping.
type Work struct {
	Entry  Entry
	Upkeep Upkeep
}

// Past is one version of a name.
type Past struct {
	Record *ipns.Record
	At     time.Time // when it was entered
}

// Change is the last swap of an entry.
type Change struct {
	Position Position // to go on from
	Entry    Entry    // as it is; the zero Entry in a Change that is the position alone
}

// SeenMark is the mark of a name that was merely looked up.
type SeenMark struct {
	Name  ipns.Name
	Mark  Mark
	Until time.Time // keep it at least so long
}
