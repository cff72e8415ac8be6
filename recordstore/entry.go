package recordstore

import (
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// Limits for one name.
const (
	HostedHistory = 16       // kept versions of a hosted name
	MaxRivals     = 4        // records with the same sequence as Entry.Record
	MaxStaged     = 64       // records signed in advance
	MaxReceipt    = 64 << 10 // bytes of a receipt
	KeptChanges   = 1        // kept swaps, for readers of Changes
)

// Origin says why the node keeps a name. Higher ones promise more.
type Origin uint8

const (
	// Seen names were only looked up: just a mark is kept.
	Seen Origin = iota + 1
	// Hosted names belong to someone else and are kept alive by this node.
	Hosted
	// Own names have, or had, their key on this node.
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

// Mark is the highest version of a name ever seen or used. It outlives the record, so
// that neither expiry nor deletion brings an older one back. The zero Mark, without
// an EOL, means none.
type Mark struct {
	Sequence uint64
	EOL      time.Time
	Hash     [32]byte // of the signed data
}

// MarkOf returns the mark that a record sets.
func MarkOf(rec *ipns.Record) Mark {
	return Mark{Sequence: rec.Sequence(), EOL: rec.EOL(), Hash: rec.DataHash()}
}

// IsZero reports whether m is the zero Mark.
func (m Mark) IsZero() bool { return m.EOL.IsZero() }

// Compare orders marks by sequence, then by EOL; the zero Mark is the lowest.
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

// Generation identifies one life of a store, from its creation or restoration to the
// next restoration. No store has the zero Generation.
type Generation [16]byte

// Entry is the authoritative state of one name. Times are in UTC, with nanoseconds.
type Entry struct {
	Name ipns.Name
	// Record is the newest known record by ipns.Compare; nil if nothing is published
	// yet or only the mark is known.
	Record *ipns.Record
	// Rivals are records with the same sequence as Record but another value: someone
	// else signs with the key. A higher sequence clears them.
	Rivals []*ipns.Record
	// Forks counts all rivals ever seen.
	Forks uint64
	Mark  Mark
	// Next is the lowest sequence never given to a signer.
	Next   uint64
	Origin Origin
	// Tenant is who asked to keep the name; empty: the operator. Hosting for others
	// will use it for quotas and billing.
	Tenant string
	// Staged records are signed in advance and replace Record as it nears its EOL; in
	// the order of Compare. Nothing fills them: ladders (internal/ladder) are Rows.
	Staged []*ipns.Record
	// Known is the generation of the store in which nothing newer than Mark was known
	// to exist, because the key was made here or a complete search said so.
	Known Generation
	// Entered is the generation of the store in which Record was entered, or a search
	// found nothing newer. In a later generation, newer records may exist.
	Entered Generation
	// Rival is the last record by another holder of the key that replaced one
	// published here; nil: none since the last publish here.
	Rival *ipns.Record
	// Pending was published here and met a rival: its value is to be signed again above
	// that one; nil: nothing is.
	Pending *ipns.Record
	// Span is the lifetime with which Record was signed here; 0: it was signed
	// elsewhere, or by a version that did not store the lifetime.
	Span time.Duration
	// Changed is when Record became the newest.
	Changed time.Time
	// Version counts the swaps of the entry; 0 if it is not stored.
	Version uint64
	// Damaged means that the stored entry cannot be read and that this one was rebuilt
	// from other data. It is not stored: a Swap repairs the entry.
	Damaged bool
}

// Upkeep is bookkeeping about the announcements of a name.
type Upkeep struct {
	Name      ipns.Name
	Due       time.Time // when to announce again
	LastPut   time.Time // when it was last announced
	Announced [32]byte  // Hash of the record announced then
	Holders   int       // targets that took it then
	LastErr   string    // why the announcement fell short; empty: it did not
	// Receipt is the receipt of that announcement, without its targets if it would
	// exceed MaxReceipt bytes.
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
	Position Position // to resume from
	Entry    Entry    // the current entry; zero if the Change holds only a position
}

// SeenMark is the mark of a seen name.
type SeenMark struct {
	Name  ipns.Name
	Mark  Mark
	Until time.Time // earliest time to prune it
}
