// Package names decides which records this node vouches for. Every source of
// records (publishing, a PUT, pubsub, a search, a sweep, an import) goes through
// [Book.Take], or [Book.Enter] for a record made here. The Book compares the record
// with the mark of the name, stores it if it is newer, and notifies subscribers.
//
// Invariants:
//   - A name never goes back: no call replaces a stored record or mark with a
//     lower one, even after a crash or a restart.
//   - Subscribers are notified once the record is durable, before Take returns.
//   - Two values with the same sequence are both kept until a record with a higher
//     sequence arrives.
//   - Looking up a name never costs an fsync: marks of seen names are written in
//     batches, and a crash can lose the last second of them. It loses nothing
//     about own and hosted names.
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
	// SeenLimit is the maximum number of marks kept for seen names.
	SeenLimit = 1_000_000
	// SeenGrace is how long the mark of a seen name is kept after its record's EOL.
	SeenGrace = 30 * 24 * time.Hour

	seenFlushEvery = time.Second // between writes of pending marks
	maxPendingSeen = 16_384      // pending marks above which Take writes them itself
	seenPruneEvery = time.Hour
	takeTries      = 100 // swap conflicts before Take gives up
)

// Outcome is the result of comparing a record with what the Book has.
type Outcome int

const (
	// New means that the record is higher than everything known about the name.
	New Outcome = iota + 1
	// Same means that the Book already has the record.
	Same
	// Older means that the record is lower than the Book's record or mark.
	Older
	// Fork means that the record has the sequence of the Book's record but another
	// value: two writers share the key. Both are kept; the greater is the Record.
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

// ErrExists means that the name already has an entry.
var ErrExists = errors.New("name already has an entry")

// ErrReserved means that the sequence was already given to a signer.
var ErrReserved = errors.New("sequence was already used")

// ErrUnknownSequence means that a record newer than the Book's may exist: the store
// was restored or the key was imported, and no complete search has run since.
var ErrUnknownSequence = errors.New("last sequence is unknown")

// Entrance says on whose behalf a record enters the Book.
type Entrance struct {
	// Origin is why the name is kept; 0: Seen. It can raise the origin of an entry,
	// never lower it.
	Origin recordstore.Origin
	// Tenant is who asked to keep the name; empty: the operator. It is stored when
	// the entry is created or its origin is raised.
	Tenant string
	// Claim also moves a hosted name to Tenant from another one if the record is New: who
	// brings the newer record keeps the name. The operator's names stay.
	Claim bool
	// Vouched means that the user vouches for the record being above all that exist,
	// so Enter does not check whether the last sequence is known. Take ignores it.
	Vouched bool
	// Lease is that of a process which renews the record, or has met it in a sweep: it is
	// stored only while that is current, see recordstore.Store. Zero: none is needed.
	Lease recordstore.Lease
}

// Change is a record, a fork or a mark that entered the Book.
type Change struct {
	Outcome Outcome // New or Fork; New for a change that another writer made to the store
	Entry   recordstore.Entry
	// Rival is the record that entered, if another holder of the key signed it to
	// replace one published here; else nil.
	Rival *ipns.Record
}

// Book holds the names that this node knows. It is safe for concurrent use. Run must
// be running: it writes seen marks, takes the records passed to Hear, and reports
// changes that others make to the store.
//
// Nothing else may use the Store, the Notes and the Marks.
type Book struct {
	// Store keeps the entries; required.
	Store recordstore.Store
	// Notes keeps the upkeep of names; nil: the Store, which must implement Notes.
	Notes recordstore.Notes
	// Marks keeps the marks of seen names; nil: the Store, which must implement Marks.
	Marks recordstore.Marks
	// Now returns the current time; nil: time.Now.
	Now func() time.Time
	// SeenLimit bounds the marks of seen names; 0: the constant SeenLimit.
	SeenLimit int
	// Log receives failures that no caller sees; nil: none are logged.
	Log *slog.Logger
	// Forgotten is called after Forget has removed a name, before Forget returns; nil:
	// nobody is told. It may call the Book. It must be set before the Book is used.
	Forgotten func(context.Context, ipns.Name)

	incoming incoming
	watchers watchers
	reached  reached
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

// Count returns how many records had the given outcome since the process started.
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

// Take enters a record, which must have been opened (verified), not just loaded. A
// name without an entry gets one with the Entrance's origin; if that is Seen, only
// its mark is raised.
//
// An expired record counts too: everything below it is older. When Take returns
// without an error, the record is durable, and the Outcome compares it with what the
// Book had before.
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

// Enter is Take for a record that the caller made as the successor of an entry it
// read: if the entry has changed since, Enter returns recordstore.ErrConflict and
// enters nothing. A record that is not above the entry's mark is not entered; the
// Outcome says so. The name becomes Own; from.Known, from.Span, from.Rival and
// from.Pending are stored as given.
//
// If the last sequence is not known and the Entrance is not Vouched, Enter returns
// ErrUnknownSequence and enters nothing.
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
		err = b.unchanged(ctx, from) // no swap has checked the version
	}
	if err != nil {
		return 0, fmt.Errorf("enter record of %s: %w", rec.Name(), err)
	}
	b.counts[outcome].Add(1)
	return outcome, nil
}

// noLease is the lease of what any process may do at any time.
var noLease recordstore.Lease

// swap stores an entry, and notifies subscribers if the change has an Outcome.
func (b *Book) swap(ctx context.Context, e recordstore.Entry, c Change, lease recordstore.Lease) (recordstore.Entry, error) {
	defer b.watchers.begin(e.Name)()
	stored, err := b.Store.Swap(ctx, e, lease)
	if err != nil {
		return recordstore.Entry{}, err
	}
	c.Entry = stored
	b.watchers.swapped(c)
	return stored, nil
}

// unchanged returns recordstore.ErrConflict if the stored entry has another version.
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

// enter judges rec against e and stores the result in one swap: a crash leaves all
// of it or nothing.
func (b *Book) enter(ctx context.Context, e recordstore.Entry, rec *ipns.Record, in Entrance, span time.Duration) (_ Outcome, swapped bool, _ error) {
	if err := b.liftSeen(ctx, &e); err != nil {
		return 0, false, err
	}
	next, outcome := judge(e, rec)
	if in.Origin > e.Origin {
		next.Origin, next.Tenant = in.Origin, in.Tenant
	}
	if in.Claim && outcome == New && next.Origin == recordstore.Hosted && next.Tenant != "" {
		next.Tenant = in.Tenant
	}
	changed := outcome == New || outcome == Fork
	var rival *ipns.Record
	if changed {
		gen, err := b.Store.Generation(ctx)
		if err != nil {
			return 0, false, err
		}
		if copied(e, gen) && next.Pending != rec {
			next.Pending = nil
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
		return outcome, false, nil // nothing to write; an old record creates no entry
	}
	c := Change{Rival: rival}
	if changed {
		c.Outcome = outcome
	}
	if _, err := b.swap(ctx, next, c, in.Lease); err != nil {
		return 0, false, err
	}
	return outcome, true, nil
}

// Pend stores which record of a name, published here, is to be signed again above a
// rival; nil: none is. So an end of the process before that does not drop its value.
func (b *Book) Pend(ctx context.Context, name ipns.Name, rec *ipns.Record) error {
	for range takeTries {
		e, err := b.Store.Get(ctx, name)
		if err == nil && e.Pending == nil && rec == nil {
			return nil
		}
		if err == nil {
			e.Pending = rec
			_, err = b.swap(ctx, e, Change{}, noLease)
		}
		if !errors.Is(err, recordstore.ErrConflict) {
			return err
		}
	}
	return recordstore.ErrConflict
}

// Create makes the entry of a name whose key was just generated here, so that its
// last sequence is known: nothing was ever published under it. It returns ErrExists
// if the Book already has an entry.
func (b *Book) Create(ctx context.Context, name ipns.Name) error {
	gen, err := b.Store.Generation(ctx)
	if err == nil {
		e := recordstore.Entry{Name: name, Origin: recordstore.Own, Known: gen, Changed: b.now()}
		if err = b.liftSeen(ctx, &e); err == nil {
			_, err = b.swap(ctx, e, Change{}, noLease)
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

// Reserve reserves a sequence for the caller before a remote signer is asked to sign
// with it: nobody else gets it, even if the signature never arrives. It returns the
// updated entry, ErrReserved if the sequence was used before, or
// recordstore.ErrConflict if the entry has changed since the caller read it.
func (b *Book) Reserve(ctx context.Context, from recordstore.Entry, seq uint64) (recordstore.Entry, error) {
	if seq < from.Next {
		return recordstore.Entry{}, fmt.Errorf("reserve sequence %d of %s: %w", seq, from.Name, ErrReserved)
	}
	from.Next = after(seq)
	from.Origin = recordstore.Own
	e, err := b.swap(ctx, from, Change{}, noLease)
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("reserve sequence %d of %s: %w", seq, from.Name, err)
	}
	return e, nil
}

// Spend counts the sequences up to seq as used: records with them were signed in advance,
// and are to enter later. A name without an entry gets one with the Entrance's origin.
func (b *Book) Spend(ctx context.Context, name ipns.Name, seq uint64, in Entrance) error {
	for range takeTries {
		e, err := b.Store.Get(ctx, name)
		if errors.Is(err, recordstore.ErrNotFound) {
			e = recordstore.Entry{Name: name, Origin: in.Origin, Tenant: in.Tenant, Changed: b.now()}
			err = b.liftSeen(ctx, &e)
		}
		if err == nil && e.Version != 0 && e.Next > seq {
			return nil
		}
		if err == nil {
			e.Next = max(e.Next, after(seq))
			_, err = b.swap(ctx, e, Change{}, noLease)
		}
		if !errors.Is(err, recordstore.ErrConflict) {
			if err != nil {
				err = fmt.Errorf("spend sequence %d of %s: %w", seq, name, err)
			}
			return err
		}
	}
	return recordstore.ErrConflict
}
