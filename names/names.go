// Package names is the one door through which records enter what this node vouches
// for. Whatever brings a record (publishing, a PUT, pubsub, a search, a sweep, an
// import) calls [Book.Take], or [Book.Enter] for a record made here. The Book compares
// the record with the mark of the name, stores it if it is newer, and tells
// subscribers.
//
// Invariants:
//   - A name never goes back: what Take stored or marked, no later call
//     replaces by something lower, also after a crash or a restart.
//   - Subscribers are told after the record is durable, and before Take returns.
//   - Two values under one sequence are both kept, until a higher sequence
//     settles it.
//   - Looking up a name never costs an fsync: marks of seen names are written in
//     batches, and a crash can lose the last second of them. Of own and hosted
//     names it loses nothing.
package names

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Limits of the Book.
const (
	// SeenLimit is how many marks of merely seen names are kept.
	SeenLimit = 1_000_000
	// SeenGrace is how long such a mark is kept after the EOL of its record.
	SeenGrace = 30 * 24 * time.Hour

	seenFlushEvery = time.Second // how long a mark may stay in memory only
	seenPending    = 16_384      // how many may, before Take writes them itself
	seenPruneEvery = time.Hour
	takeTries      = 100 // swaps lost to other writers before Take gives up
)

// Outcome says what a record was to the Book.
type Outcome int

const (
	// New records are higher than everything known of the name.
	New Outcome = iota + 1
	// Same records say what the Book already has.
	Same
	// Older records lose against what the Book has, or against its mark.
	Older
	// Fork records have the sequence of the Book's record and another value: two
	// writers sign with one key. Both are kept; the greater one is the Record.
	Fork
)

func (o Outcome) String() string {
	switch o {
	case New:
		return "new"
	case Same:
		return "same"
	case Older:
		return "older"
	case Fork:
		return "fork"
	}
	return "unknown"
}

// ErrExists says that a name already has an entry.
var ErrExists = errors.New("name already has an entry")

// ErrReserved says that a sequence was already given to a signer.
var ErrReserved = errors.New("sequence was already used")

// ErrUnknownSequence says that a newer record than the Book's may exist: this store
// was restored, or the key came from elsewhere, and no complete search has been made
// since.
var ErrUnknownSequence = errors.New("last sequence is unknown")

// Entrance says on whose behalf a record enters.
type Entrance struct {
	// Origin is why the name is kept; 0: Seen. It raises that of an existing entry,
	// never lowers it.
	Origin recordstore.Origin
	// Tenant is who asked to have the name kept; empty: the operator. An entry whose
	// origin is set or raised gets it.
	Tenant string
	// Vouched says that the user asserts that the record is above all that exist:
	// Enter then does not check whether the last sequence is known. Take ignores it,
	// since a record that already exists needs no such assertion.
	Vouched bool
}

// Change is a record, a fork or a mark that entered the Book.
type Change struct {
	Outcome Outcome // New or Fork; New also if it came into the store past this Book
	Entry   recordstore.Entry
	// Rival is the record that entered, if another holder of the key has signed it
	// over one from here; else nil.
	Rival *ipns.Record
}

// Book is the names that this node knows. It is safe for concurrent use. Run must be
// running for seen marks to be written in time, for Hear, and for what comes into
// the store past this Book to be told.
//
// Nobody else uses the Store, the Notes and the Marks.
type Book struct {
	// Store is where the names rest; it must be set.
	Store recordstore.Store
	// Notes is where bookkeeping about them rests; nil: the Store, which has to
	// implement it then.
	Notes recordstore.Notes
	// Marks is where the marks of merely seen names rest; nil: the Store, which has to
	// implement it then.
	Marks recordstore.Marks
	// Leases says who looks after which names when several processes share the Store;
	// nil: this one does, alone. Nobody asks it yet: sharing a store is to come.
	Leases recordstore.Leaser
	// Now tells the time; nil: time.Now.
	Now func() time.Time
	// SeenLimit bounds the marks of merely seen names; 0: the constant SeenLimit.
	SeenLimit int
	// Log gets what no caller is told; nil: nothing.
	Log *slog.Logger

	hearing  hearing
	watchers watchers
	turns    turns
	seen     pendingMarks
	counts   [Fork + 1]atomic.Uint64
}

func (b *Book) now() time.Time {
	if b.Now == nil {
		return time.Now()
	}
	return b.Now()
}

// Count returns how many records came in with the given outcome since the
// process started.
func (b *Book) Count(o Outcome) uint64 {
	if o < 0 || int(o) >= len(b.counts) {
		return 0
	}
	return b.counts[o].Load()
}

// Get returns the entry of an own or hosted name, or recordstore.ErrNotFound.
func (b *Book) Get(ctx context.Context, name ipns.Name) (recordstore.Entry, error) {
	return b.Store.Get(ctx, name)
}

// Take enters a record, which must have been opened and not merely loaded. If
// the name has no entry yet, it gets one of the Entrance's origin; a merely Seen
// name only gets its mark raised.
//
// An expired record counts as well: it says that everything below it is older.
// When Take returns without an error, the record is durable; Outcome is then
// what the record was before the call.
func (b *Book) Take(ctx context.Context, rec *ipns.Record, in Entrance) (Outcome, error) {
	for range takeTries {
		e, err := b.Store.Get(ctx, rec.Name())
		switch {
		case errors.Is(err, recordstore.ErrNotFound):
			if in.Origin <= recordstore.Seen {
				return b.see(ctx, rec)
			}
			e = recordstore.Entry{Name: rec.Name()}
		case err != nil:
			return 0, fmt.Errorf("take record of %s: %w", rec.Name(), err)
		}
		outcome, _, err := b.enter(ctx, e, rec, in, 0)
		if errors.Is(err, recordstore.ErrConflict) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("take record of %s: %w", rec.Name(), err)
		}
		b.counts[outcome].Add(1)
		return outcome, nil
	}
	return 0, fmt.Errorf("take record of %s: %d tries: %w", rec.Name(), takeTries, recordstore.ErrConflict)
}

// Enter is Take for a record that was made from the entry as the caller read it:
// if the entry has changed since, it returns recordstore.ErrConflict and enters
// nothing. A record that is not above the entry's mark is not entered: the
// Outcome says so. The name becomes Own; from.Known, from.Span and
// from.Rival are stored as they are.
//
// Unless from is Known or the Entrance vouched for, nothing is entered either:
// the error is ErrUnknownSequence, whoever made the record and for whatever.
func (b *Book) Enter(ctx context.Context, from recordstore.Entry, rec *ipns.Record, in Entrance) (Outcome, error) {
	if rec.Name() != from.Name {
		return 0, fmt.Errorf("enter record of %s: the entry is of %s", rec.Name(), from.Name)
	}
	if !in.Vouched {
		known, err := b.Known(ctx, from)
		if err == nil && !known {
			err = ErrUnknownSequence
		}
		if err != nil {
			return 0, fmt.Errorf("enter record of %s: %w", rec.Name(), err)
		}
	}
	in.Origin = recordstore.Own
	outcome, swapped, err := b.enter(ctx, from, rec, in, from.Span)
	if err == nil && !swapped {
		err = b.unchanged(ctx, from) // no swap has told
	}
	if err != nil {
		return 0, fmt.Errorf("enter record of %s: %w", rec.Name(), err)
	}
	b.counts[outcome].Add(1)
	return outcome, nil
}

// swap stores an entry and tells of it if that is a change, one with an Outcome.
func (b *Book) swap(ctx context.Context, e recordstore.Entry, c Change) (recordstore.Entry, error) {
	defer b.watchers.begin(e.Name)()
	stored, err := b.Store.Swap(ctx, e, recordstore.Lease{})
	if err != nil {
		return recordstore.Entry{}, err
	}
	c.Entry = stored
	b.watchers.swapped(c)
	return stored, nil
}

// unchanged returns recordstore.ErrConflict if the stored entry is another one.
func (b *Book) unchanged(ctx context.Context, e recordstore.Entry) error {
	now, err := b.Store.Get(ctx, e.Name)
	switch {
	case errors.Is(err, recordstore.ErrNotFound):
		return nil
	case err == nil && now.Version != e.Version:
		return recordstore.ErrConflict
	}
	return err
}

// enter judges rec against e and stores what follows from it. What it writes is
// one swap: a crash leaves all of it or nothing.
func (b *Book) enter(ctx context.Context, e recordstore.Entry, rec *ipns.Record, in Entrance, span time.Duration) (_ Outcome, swapped bool, _ error) {
	if err := b.liftSeen(ctx, &e); err != nil {
		return 0, false, err
	}
	next, outcome := judge(e, rec)
	if in.Origin > e.Origin {
		next.Origin, next.Tenant = in.Origin, in.Tenant
	}
	changed := outcome == New || outcome == Fork
	var rival *ipns.Record
	if changed {
		gen, err := b.Store.Generation(ctx)
		if err != nil {
			return 0, false, err
		}
		if next.Record == rec {
			next.Entered, next.Span = gen, span
		}
		if in.Origin <= recordstore.Seen && e.Origin == recordstore.Own && e.Known == gen && e.Record != nil && rec.Value() != e.Record.Value() {
			rival, next.Rival = rec, rec
		}
	}
	switch {
	case changed:
		next.Changed = b.now()
	case e.Version == 0 || next.Origin == e.Origin:
		return outcome, false, nil // nothing to write: least of all an entry for an old record
	}
	c := Change{Rival: rival}
	if changed {
		c.Outcome = outcome
	}
	if _, err := b.swap(ctx, next, c); err != nil {
		return 0, false, err
	}
	return outcome, true, nil
}

// Create makes the entry of a name whose key was just made here, so that nothing was
// ever published under it. ErrExists says that the name has an entry already.
func (b *Book) Create(ctx context.Context, name ipns.Name) error {
	gen, err := b.Store.Generation(ctx)
	if err == nil {
		e := recordstore.Entry{Name: name, Origin: recordstore.Own, Known: gen, Changed: b.now()}
		if err = b.liftSeen(ctx, &e); err == nil {
			_, err = b.swap(ctx, e, Change{})
		}
	}
	if errors.Is(err, recordstore.ErrConflict) {
		err = ErrExists
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return nil
}

// Reserve gives seq to the caller, before a remote signer is asked to sign it: nobody
// else will get it, even if the signature never arrives. ErrReserved says that it was
// used before, recordstore.ErrConflict that the entry has changed since the caller
// read it. Reserve returns the new entry.
func (b *Book) Reserve(ctx context.Context, from recordstore.Entry, seq uint64) (recordstore.Entry, error) {
	if seq < from.Next {
		return recordstore.Entry{}, fmt.Errorf("reserve sequence %d of %s: %w", seq, from.Name, ErrReserved)
	}
	from.Next = after(seq)
	from.Origin = recordstore.Own
	e, err := b.swap(ctx, from, Change{})
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("reserve sequence %d of %s: %w", seq, from.Name, err)
	}
	return e, nil
}
