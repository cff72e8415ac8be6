// Package recordstore is the seam where records rest: what this node knows of
// names, kept so that a crash, a full disk or a restart never loses a record
// that was acknowledged and never brings an older one back.
//
// Three kinds of knowledge are kept apart. A [Store] has the truth about names: an
// [Entry] changes only by compare-and-swap, durable when the call returns. [Notes]
// have bookkeeping about it (when was it put, who holds it), and [Marks] those names
// that were merely looked at. Both are written in batches, and a crash may lose the
// last of them, so that bookkeeping never makes a publisher's swap fail and never costs
// an fsync. [Rows] are for what is no name: the tables of those who build on the store.
//
// Invariants:
//   - A Mark never goes back, also when its record has expired or is deleted.
//   - What Swap acknowledged is there after a crash of the process or machine.
//   - Nobody is shown what a crash could still take back.
//   - Scan and Due walk names in the order of their Kademlia ids, so that a
//     sweep of the key space is a range scan.
package recordstore

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
)

// Region is a part of the key space; the zero Region is all of it.
type Region = keyspace.Region

var (
	// ErrNotFound says that the store knows nothing of the name.
	ErrNotFound = errors.New("name is not in the store")

	// ErrConflict says that the entry has changed since it was read: read it
	// again and decide again.
	ErrConflict = errors.New("entry was changed by another writer")

	// ErrFull says that the store has no room to write. Reading goes on, nothing
	// that was acknowledged is lost, and writing resumes by itself once there is
	// room again.
	ErrFull = errors.New("no space left on disk")

	// ErrDoubt says that a write may yet become durable: the outcome is known when
	// the entry can be swapped again.
	ErrDoubt = errors.New("outcome of the write is unknown")

	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("record store is closed")

	// ErrGap says that the changes since a position are not known: it belongs to
	// another generation of the store. Start over, and read everything again.
	ErrGap = errors.New("changes since that position are not known")

	// ErrLease says that a lease has ended, or is not one of this store.
	ErrLease = errors.New("lease is not valid")
)

// Store keeps entries and their history. Implementations are safe for concurrent
// use, also by several processes if they say so; package recordstoretest holds the
// test that each of them passes. Most are [Notes] and [Marks] as well.
//
// Iterators read while the caller iterates, see each name at most once, and
// yield an error last, with a zero value. What is written during an iteration
// may or may not be seen by it.
type Store interface {
	// Get returns the entry of a name, or ErrNotFound. It never returns an entry
	// that is not durable yet.
	Get(ctx context.Context, name ipns.Name) (Entry, error)

	// Swap replaces the entry of e.Name if the stored one still has the version
	// that e.Version names, 0 standing for "there is none", and returns the
	// entry as it is now stored, with its new version. If the versions differ,
	// it returns ErrConflict and changes nothing. The entry, its mark and its
	// history change together, and are durable when Swap returns without an
	// error. After ErrConflict, ErrLease and ErrFull the entry is the old one; after
	// ErrDoubt and any other error it is the old one or the new one, never a mixture.
	//
	// Swap raises the new entry's Mark to the stored one and its Next to the
	// stored one, should they be lower. Writers of different names do not wait
	// for each other.
	//
	// Swapping in an entry of Origin Seen deletes the name: its entry, history and
	// upkeep go, and the returned entry has the Version 0. The caller first notes its
	// mark in the Marks. A name that is Own cannot be deleted.
	//
	// Unless the lease is the zero Lease, it must be a current lease of this store whose
	// region holds the name; else the error is ErrLease.
	Swap(ctx context.Context, e Entry, lease Lease) (Entry, error)

	// Scan yields the entries of a region in the order of their Kademlia ids.
	Scan(ctx context.Context, region Region) iter.Seq2[Entry, error]

	// Due yields those entries of a region that have a record and whose upkeep
	// is due before the given time or was never noted, in the order of their
	// Kademlia ids.
	Due(ctx context.Context, region Region, before time.Time) iter.Seq2[Work, error]

	// History yields the kept versions of a name, newest first, beginning with
	// the record of the entry. Every value of an own name is kept (a renewal
	// replaces its predecessor), the last [HostedHistory] of a hosted one.
	History(ctx context.Context, name ipns.Name) iter.Seq2[Past, error]

	// Changes yields names that were swapped after a position, each with its entry
	// as it is, in the order of their last swaps, after these are durable. It then
	// waits for more until ctx ends. Of each name, the last [KeptChanges] are kept,
	// for as long as it has an entry: a reader that goes on from any position of this
	// generation, also after a crash, misses no name, though it may miss versions in
	// between. Forgetting a name is no change.
	//
	// The empty position stands for now. The first Change is then the position
	// alone, without an entry: all that is swapped from then on comes after it.
	//
	// A position of another generation ends it with ErrGap.
	Changes(ctx context.Context, since Position) iter.Seq2[Change, error]

	// Generation identifies this life of the store. It changes when the store
	// was restored from a copy: what was published between the copy and the
	// restoration is then unknown here.
	Generation(ctx context.Context) (Generation, error)

	// Close ends the use of the store. Iterations that are going on end with
	// ErrClosed.
	Close() error
}

// Notes is bookkeeping about the names of a Store: what may be lost. The last write
// wins.
type Notes interface {
	// Upkeep returns what was last noted about a name; a zero Upkeep with the
	// name if nothing was.
	Upkeep(ctx context.Context, name ipns.Name) (Upkeep, error)

	// SetUpkeep notes bookkeeping. It is not durable: a crash may lose the last of
	// it, never older than what an earlier Swap or Sync made durable.
	SetUpkeep(ctx context.Context, notes ...Upkeep) error

	// Sync makes all that was noted before durable.
	Sync(ctx context.Context) error
}

// Marks are those of names that were merely seen, so that what was shown is not
// taken back. A lower mark never replaces a higher one.
type Marks interface {
	// Seen returns the mark of a name that was merely seen, or ErrNotFound.
	Seen(ctx context.Context, name ipns.Name) (SeenMark, error)

	// SetSeen notes marks. They are durable after the next Sync, or the next Swap of
	// the Store that is written to the same disk.
	SetSeen(ctx context.Context, marks ...SeenMark) error

	// PruneSeen forgets the marks that were to be kept until before the given
	// time, and beyond limit those with the earliest such time. It returns how
	// many are left.
	PruneSeen(ctx context.Context, before time.Time, limit int) (int, error)

	// Sync makes all that was noted before durable.
	Sync(ctx context.Context) error
}
