// Package publisher makes the next record of a name, enters it into the Book,
// and announces it.
//
// # Order
//
// Every publish goes the same way, and a crash at any point leaves a state from
// which the next start goes on:
//
//	read the entry   is the last sequence known? else search, else refuse
//	reserve          only for a remote signer: the sequence is used up from here on
//	sign             a record that is not entered never leaves the process
//	enter            one durable swap of record and mark, or nothing
//	answer "stored"
//	announce         the bytes that were entered, now and after a restart
//	answer "announced to k of n"
//
// # Invariants
//
//   - A record that left the node is in the store.
//   - One sequence never has two values, whoever else publishes here.
//   - What an answer claims has happened.
package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// Defaults and limits.
const (
	DefaultAcks            = 10               // what WaitDefault waits for
	DefaultTimeout         = 60 * time.Second // how long
	DefaultWanted          = 15               // holders below which a name is announced again
	DefaultRepublishPeriod = 4 * time.Hour

	searchLimit   = 30 * time.Second // for the last sequence
	announceLimit = 2 * time.Minute  // for one announcement
	announcements = 256              // going on at once, the others wait
	maxQueued     = 16_384           // waiting; those beyond are left to Run
	enterTries    = 20               // entries that changed while their successor was signed
)

// Publisher publishes names. It is safe for concurrent use.
type Publisher struct {
	// Book is the door to the store; it must be set.
	Book *names.Book
	// Router is where records are announced and last sequences searched; nil:
	// this node is offline.
	Router routing.Router
	// Expected names the network whose acks count; "" and nil: any.
	Expected func() string
	// Now tells the time; nil: time.Now.
	Now func() time.Time
	// Skew tells how far the clock is behind that of others; ok is false if nobody
	// knows. More than MaxSkew refuses to sign. Nil: as servers say that take records.
	Skew func() (off time.Duration, ok bool)
	// Log gets what no caller is told; nil: nothing.
	Log *slog.Logger

	// Lifetime and TTL are those of requests without another wish; 0:
	// ipns.DefaultLifetime and ipns.DefaultTTL.
	Lifetime, TTL time.Duration
	// MaxLifetime warns of longer ones, and refuses those above a year unless they
	// are forced; 0: any is fine.
	MaxLifetime time.Duration
	// Wanted is how many holders a name should have; 0: DefaultWanted. Of a
	// network that has fewer, all.
	Wanted int
	// RepublishPeriod is when a name that enough hold is due again, for the
	// republisher; 0: DefaultRepublishPeriod.
	RepublishPeriod time.Duration

	once    sync.Once
	base    context.Context // of announcements; ends with stop
	stop    context.CancelFunc
	slots   chan struct{} // has an element for each announcement that is going on
	running sync.WaitGroup
	clocks  clocks // of others

	mu       sync.Mutex // guards all below
	closed   bool
	announce map[ipns.Name]*announcement // the newest of each name
	retries  map[ipns.Name]retry
	asking   map[ipns.Name]bool // names that are being searched before they are announced

	at func(step) error // tests stop here; nil: go on
}

// Request is what to publish.
type Request struct {
	// Value is the content path: /ipfs/…, /ipns/… or /ipld/….
	Value string
	// Lifetime is the time from now to EOL; nil: the Publisher's.
	Lifetime *time.Duration
	// TTL is how long resolvers may cache the record, 0 not at all; nil: the
	// Publisher's, but no longer than the lifetime.
	TTL      *time.Duration
	Form     ipns.Form
	Metadata ipns.Metadata
	// Sequence is the sequence of the new record; nil: the one that follows.
	Sequence *uint64
	// IfSequence publishes only if the last sequence is this one; nil: whatever
	// it is. If not, the error is an *IfSequenceError.
	IfSequence *uint64
	// Force publishes also if the last sequence is unknown, above 2^63-1, and with a
	// clock that others say is wrong.
	Force bool
	// OnRival says what to do if another holder of the key publishes too.
	OnRival OnRival
	// Wait says when Publish returns.
	Wait Wait
	// Timeout bounds the waiting; 0: DefaultTimeout. Announcing goes on after it.
	Timeout time.Duration
	// OnProgress, unless nil, is called while Publish waits: once the record is
	// durable, when servers have answered, and when another record is signed above a
	// rival, to which the receipt then belongs.
	OnProgress func(Result)
}

// Result is what became of a publish.
type Result struct {
	Record *ipns.Record
	// Previous is the record before; nil: there was none.
	Previous *ipns.Record
	// Outcome is New, also for a renewal, or Same if the Book had the record.
	Outcome names.Outcome
	// NewSequence says that the sequence is not that of Previous.
	NewSequence bool
	// Rivals are records that another holder of the key has signed and that servers
	// held, as they were met; Record is above them, unless an error says otherwise.
	Rivals []*ipns.Record
	// Receipt is who took the record, until Publish returned.
	Receipt routing.Receipt
	// Complete says that the announcement is over; else it goes on.
	Complete bool
	// Warnings are for the user to see.
	Warnings []string

	making *making // nil: it was not signed just now
}

// Errors that callers branch on.
var (
	// ErrUnknownSequence says that a newer record may exist than this node knows.
	ErrUnknownSequence = names.ErrUnknownSequence

	// ErrSequenceLow says that the asked sequence does not follow the last one.
	ErrSequenceLow = errors.New("sequence number must be greater than the current record sequence")

	// ErrClock says that the clock cannot be right.
	ErrClock = errors.New("clock is wrong")

	// ErrLifetime says that lifetime or TTL make no sense.
	ErrLifetime = errors.New("lifetime is refused")

	// ErrOlder says that the Book has something newer.
	ErrOlder = errors.New("a newer record is known")

	// ErrClosed says that the Publisher was closed.
	ErrClosed = errors.New("publisher is closed")
)

// IfSequenceError says that somebody else published first.
type IfSequenceError struct {
	Name    ipns.Name
	Want    uint64       // the last sequence that the request expected
	Value   string       // what it would have published
	Current *ipns.Record // what is published instead; nil: nothing
}

func (e *IfSequenceError) Error() string {
	if e.Current == nil {
		return fmt.Sprintf("%s is not published: the last sequence should be %d, but there is none", e.Value, e.Want)
	}
	return fmt.Sprintf("%s is not published: the last sequence should be %d, but %s was published with %d",
		e.Value, e.Want, e.Current.Value(), e.Current.Sequence())
}

// NobodyExpected is the warning of a publish that was offered to nobody because no
// network is meant to be here.
const NobodyExpected = "this node is on no network, so nobody but it has the record"

// NotAnnouncedError says that a record is stored, and announced to fewer than
// was asked for.
type NotAnnouncedError struct {
	Result Result
	Wait   Wait
	Err    error // why the announcement or the waiting ended; nil: for the acks
}

func (e *NotAnnouncedError) Error() string {
	text := fmt.Sprintf("%s is stored with sequence %d, but %s", e.Result.Record.Name(), e.Result.Record.Sequence(), e.Result.Receipt)
	if e.Wait > 0 {
		text += fmt.Sprintf(" (asked for %d)", int(e.Wait))
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns why the announcement ended.
func (e *NotAnnouncedError) Unwrap() error { return e.Err }

func (p *Publisher) init() {
	p.once.Do(func() {
		p.base, p.stop = context.WithCancel(context.Background())
		p.slots = make(chan struct{}, announcements)
		p.announce = make(map[ipns.Name]*announcement)
		p.retries = make(map[ipns.Name]retry)
		p.asking = make(map[ipns.Name]bool)
	})
}

func (p *Publisher) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

func (p *Publisher) expected() string {
	if p.Expected == nil {
		return ""
	}
	return p.Expected()
}

func (p *Publisher) log() *slog.Logger {
	if p.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Log
}

// Publish makes, enters and announces the next record of the signer's name. If
// the error is a *NotAnnouncedError, the record is stored and will be announced;
// if it is a *RivalError, the name has another value than was asked for, whether
// or not a record was signed; with every other error nothing has changed, unless the store failed in doubt.
func (p *Publisher) Publish(ctx context.Context, signer ipns.Signer, req Request) (Result, error) {
	p.init()
	name, err := ipns.NameOf(signer.Public())
	if err != nil {
		return Result{}, fmt.Errorf("publish: %w", err)
	}
	res, err := p.enter(ctx, name, signer, req, nil)
	if err != nil {
		return Result{}, fmt.Errorf("publish %s: %w", name, err)
	}
	res, err = p.tell(ctx, res, req.Wait, req.Timeout, req.OnProgress)
	return p.warnClock(res), err
}

// PutRequest says how to put a record that somebody else has signed.
type PutRequest struct {
	// Origin is why it is kept; 0: Hosted.
	Origin  recordstore.Origin
	Wait    Wait
	Timeout time.Duration // 0: DefaultTimeout
	// OnProgress is as in Request.
	OnProgress func(Result)
}

// Put enters a record that was signed elsewhere, which must have been opened,
// and announces its bytes as they are. An older one than the Book knows is not
// announced: ErrOlder.
func (p *Publisher) Put(ctx context.Context, rec *ipns.Record, req PutRequest) (Result, error) {
	p.init()
	if req.Origin == 0 {
		req.Origin = recordstore.Hosted
	}
	if rec.Expired(p.now()) {
		return Result{}, fmt.Errorf("put record of %s: %w at %v", rec.Name(), ipns.ErrExpired, rec.EOL())
	}
	before, err := p.Book.Get(ctx, rec.Name())
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return Result{}, fmt.Errorf("put record of %s: %w", rec.Name(), err)
	}
	outcome, err := p.Book.Take(ctx, rec, names.Entrance{Origin: req.Origin})
	if err != nil {
		return Result{}, fmt.Errorf("put: %w", err)
	}
	if outcome == names.Older {
		return Result{}, fmt.Errorf("put record of %s with sequence %d: %w", rec.Name(), rec.Sequence(), ErrOlder)
	}
	res := Result{Record: rec, Previous: before.Record, Outcome: outcome}
	res.NewSequence = before.Record == nil || before.Record.Sequence() != rec.Sequence()
	return p.tell(ctx, res, req.Wait, req.Timeout, req.OnProgress)
}

// Close waits for the announcements that are going on until ctx ends, then stops
// them. The Publisher must not be used afterwards.
func (p *Publisher) Close(ctx context.Context) error {
	p.init()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	defer p.stop()
	over := make(chan struct{})
	go func() { p.running.Wait(); close(over) }()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		p.stop()
		<-over
		return ctx.Err()
	}
}
