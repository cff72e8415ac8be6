// Package recordstore defines how a node stores what it knows about names, so that a
// crash, a full disk or a restart never loses an acknowledged record or brings an
// older one back.
//
// A [Store] holds the authoritative state: an [Entry] for each name, changed only by
// compare-and-swap, which is durable when the call returns. [Notes] hold bookkeeping
// (when a record was put, who holds it), and [Marks] cover names that were only looked
// up. Both are written in batches, and a crash may lose the last writes: bookkeeping
// never makes a publisher's swap fail and never costs an fsync. [Rows] are generic
// tables for code built on top of the store.
//
// Invariants:
//   - A Mark never goes back, even when its record has expired or was deleted.
//   - What Swap acknowledged survives a crash of the process or the machine.
//   - No reader sees data that a crash could still undo.
//   - Scan and Due iterate in the order of Kademlia ids, so that a sweep of the key
//     space is a range scan.
package recordstore

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
)

// Region is a part of the key space; the zero Region is the whole key space.
type Region = keyspace.Region

var (
	// ErrNotFound means that the name is not in the store.
	ErrNotFound = errors.New("name is not in the store")

	// ErrConflict means that the entry has changed since it was read: read it again
	// and retry.
	ErrConflict = errors.New("entry was changed by another writer")

	// ErrFull means that there is no space to write. Reads still work, nothing
	// acknowledged is lost, and writes resume by themselves once there is space.
	ErrFull = errors.New("no space left on disk")

	// ErrAway means that the store cannot be reached, or does not answer in time. Nothing
	// was written.
	ErrAway = errors.New("the store of names cannot be reached")

	// ErrReadOnly means that the store takes no writes now. Nothing was written.
	ErrReadOnly = errors.New("the store of names takes no writes")

	// ErrDoubt means that a write may still become durable. The outcome is known once
	// the entry can be swapped again.
	ErrDoubt = errors.New("outcome of the write is unknown")

	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("record store is closed")

	// ErrGap means that a position is from another generation of the store, so the
	// changes since then are unknown: start over and read everything again.
	ErrGap = errors.New("changes since that position are not known")

	// ErrLease means that a lease has expired or was not given by this store.
	ErrLease = errors.New("lease is not valid")
)

// Store keeps entries and their history. Implementations are safe for concurrent use
// (by several processes only if they say so) and pass the tests in package
// recordstoretest. Most also implement [Notes] and [Marks].
//
// Iterators read lazily, yield each name at most once, and end with an error, if
// any, next to a zero value. They may or may not see concurrent writes.
type Store interface {
	// Get returns the entry of a name, or ErrNotFound. The entry is durable.
	Get(ctx context.Context, name ipns.Name) (Entry, error)

	// Swap replaces the entry of e.Name if the stored version equals e.Version (0: no
	// entry is stored), and returns the stored entry with its new version. If the
	// versions differ, it returns ErrConflict and changes nothing. The entry, its mark
	// and its history change together and are durable when Swap returns without an
	// error. After ErrConflict, ErrLease or ErrFull the old entry is unchanged; after
	// ErrDoubt or any other error, either the old or the new one is stored, never a
	// mixture.
	//
	// Swap never lowers Mark and Next: if the new entry's are lower, the stored ones
	// are kept. Writers of different names do not wait for each other.
	//
	// An entry with Origin Seen deletes the stored one with its history and upkeep;
	// the returned entry has Version 0. The caller must write its mark to the Marks
	// first. An Own name is never forgotten.
	//
	// A lease other than the zero Lease must be a current one of this store whose
	// region contains the name; else Swap returns ErrLease.
	Swap(ctx context.Context, e Entry, lease Lease) (Entry, error)

	// Scan yields the entries of a region in the order of their Kademlia ids.
	Scan(ctx context.Context, region Region) iter.Seq2[Entry, error]

	// Due yields the entries of a region that have a record and whose upkeep is due
	// before the given time or was never noted, in the order of their Kademlia ids.
	Due(ctx context.Context, region Region, before time.Time) iter.Seq2[Work, error]

	// History yields the kept versions of a name, newest first, starting with the
	// entry's record. All values of an own name are kept, and the last
	// [HostedHistory] of a hosted one. A renewal replaces the record it renews.
	History(ctx context.Context, name ipns.Name) iter.Seq2[Past, error]

	// Changes yields the names swapped after a position, each with its current entry,
	// in the order of their last swaps and only once these are durable. It then waits
	// for more until ctx ends. The last [KeptChanges] of each name are kept while it
	// has an entry: a reader that resumes from any position of this generation, even
	// after a crash, misses no name, but may miss intermediate versions. Forgetting a
	// name is not a change.
	//
	// The empty position means now. The first Change then holds only a position and no
	// entry; every later swap comes after it.
	//
	// A position from another generation ends the iteration with ErrGap.
	Changes(ctx context.Context, since Position) iter.Seq2[Change, error]

	// Generation returns the current generation of the store. It changes when the
	// store is restored from a copy: what was published after the copy was made is
	// then unknown here.
	Generation(ctx context.Context) (Generation, error)

	// Close closes the store. Running iterations end with ErrClosed.
	Close() error
}

// Notes keeps bookkeeping about the names of a Store, which a crash may lose. The
// last write wins.
type Notes interface {
	// Upkeep returns the upkeep noted last for a name; if there is none, a zero Upkeep
	// with the name.
	Upkeep(ctx context.Context, name ipns.Name) (Upkeep, error)

	// SetUpkeep notes the upkeep of names. It is not durable: a crash may lose
	// everything since the last Swap or Sync.
	SetUpkeep(ctx context.Context, notes ...Upkeep) error

	// Sync makes all notes written so far durable.
	Sync(ctx context.Context) error
}

// Marks keeps the marks of seen names, so that a name once shown never goes back. A
// lower mark never replaces a higher one.
type Marks interface {
	// Seen returns the mark of a seen name, or ErrNotFound.
	Seen(ctx context.Context, name ipns.Name) (SeenMark, error)

	// SetSeen writes marks. They are durable after the next Sync, or the next Swap of
	// a Store on the same disk.
	SetSeen(ctx context.Context, marks ...SeenMark) error

	// AllSeen yields all marks, in any order. One that is damaged is an error, and the
	// last: a copy without it would be believed to be whole.
	AllSeen(ctx context.Context) iter.Seq2[SeenMark, error]

	// PruneSeen deletes the marks whose Until is before the given time, and if more
	// than limit are left, those with the earliest Until. It returns how many remain.
	PruneSeen(ctx context.Context, before time.Time, limit int) (int, error)

	// Sync makes all marks written so far durable.
	Sync(ctx context.Context) error
}

// Database is a store with all that is kept beside its entries.
type Database interface {
	Store
	Notes
	Marks

	// Rows returns the rows, usable while the store is open.
	Rows() Rows
}
