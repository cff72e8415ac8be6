// Package publisher makes the next record of a name, enters it into the Book,
// and announces it.
//
// # Order
//
// Every publish takes these steps, and after a crash at any point the next start
// continues from what was stored:
//
//	read the entry   if the last sequence is unknown, search; if still unknown, refuse
//	reserve          only for a remote signer: the sequence now counts as used
//	sign             a record that is not entered never leaves the process
//	enter            one durable swap of record and mark, or nothing
//	answer "stored"
//	announce         the entered bytes, now and after a restart
//	answer "announced to k of n"
//
// # Invariants
//
//   - A record that left the node is in the store.
//   - A sequence never has two values, no matter who else publishes on this node.
//   - An answer claims only what has happened.
package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/tracing"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// Defaults and limits.
const (
	DefaultAcks            = 10               // acks that WaitDefault waits for
	DefaultTimeout         = 60 * time.Second // of waiting for acks
	DefaultWanted          = 15               // holders below which a name is announced again
	DefaultRepublishPeriod = 4 * time.Hour

	searchTimeout    = 30 * time.Second // of a search for the last sequence
	announceTimeout  = 2 * time.Minute  // of one announcement
	maxAnnouncements = 256              // running at once; the others wait
	maxQueued        = 16_384           // running or waiting; Run retries those beyond
	enterTries       = 20               // conflicts before a publish gives up
)

// Publisher publishes names. It is safe for concurrent use.
type Publisher struct {
	// Book keeps the records; required.
	Book *names.Book
	// Router announces records and searches for last sequences; nil: this node is
	// offline.
	Router routing.Router
	// Signers returns the signer of a name, for publishes that a restart has interrupted
	// while they rose above a rival. They give way if it is nil, or the error [ErrNoSigner];
	// with any other error, such as that of a key that is locked, they wait.
	Signers func(context.Context, ipns.Name) (ipns.Signer, error)
	// Resumes reports whether this process looks after a name, where several share the
	// store; nil: it is alone. What another one left unannounced when it ended is then left
	// to a republisher, but for publishes that were to rise above a rival.
	Resumes func(ipns.Name) bool
	// Expected returns the network whose acks count; "" or nil: any network.
	Expected func() string
	// Now returns the current time; nil: time.Now.
	Now func() time.Time
	// Skew returns how far the clock is behind that of others; ok is false if that is
	// unknown. Beyond MaxSkew, nothing is signed. Nil: measured from the servers that
	// take records.
	Skew func() (off time.Duration, ok bool)
	// Log receives failures that no caller sees; nil: none are logged.
	Log *slog.Logger

	// Lifetime and TTL are the defaults for requests; 0: ipns.DefaultLifetime and
	// ipns.DefaultTTL.
	Lifetime, TTL time.Duration
	// MaxLifetime is the lifetime above which a publish warns; more than a year is
	// then refused unless forced. 0: no limit.
	MaxLifetime time.Duration
	// Wanted is how many holders a name should have; 0: DefaultWanted. In a network
	// with fewer servers, all of them.
	Wanted int
	// RepublishPeriod is the time after which a name with enough holders is due again;
	// 0: DefaultRepublishPeriod.
	RepublishPeriod time.Duration

	once    sync.Once
	base    context.Context // of announcements; canceled by stop
	stop    context.CancelFunc
	slots   chan struct{} // holds one element for each running announcement
	running sync.WaitGroup
	clocks  clocks // of others

	mu       sync.Mutex // guards the fields below
	closed   bool
	announce map[ipns.Name]*announcement // the newest of each name
	retries  map[ipns.Name]retry
	asking   map[ipns.Name]bool // names being searched before they are announced
	calls    map[ipns.Name]int  // calls of Publish under way

	at func(step) error // fails a step, for tests; nil: never
}

// Request is what to publish.
type Request struct {
	// Value is the content path: /ipfs/…, /ipns/… or /ipld/….
	Value string
	// Lifetime is the time from now to EOL; nil: the Publisher's.
	Lifetime *time.Duration
	// TTL is how long resolvers may cache the record, 0 not at all; nil: the
	// Publisher's, or the lifetime if that is shorter.
	TTL      *time.Duration
	Form     ipns.Form
	Metadata ipns.Metadata
	// Sequence is the sequence of the new record; nil: the next one.
	Sequence *uint64
	// IfSequence publishes only if this is the last sequence, else Publish returns an
	// *IfSequenceError; nil: no condition.
	IfSequence *uint64
	// Force publishes even if the last sequence is unknown, the new one is above
	// 2^63-1, or the clock is wrong according to others.
	Force bool
	// HighSequence allows a Sequence above 2^63-1, which other implementations refuse.
	HighSequence bool
	// OnRival says what to do if another holder of the key publishes too.
	OnRival OnRival
	// Wait says when Publish returns.
	Wait Wait
	// Timeout limits the wait; 0: DefaultTimeout. Announcing continues after it.
	Timeout time.Duration
	// Via, if set, is where to announce and search this time, instead of the
	// Publisher's Router.
	Via routing.Router
	// OnProgress, if set, is called while Publish waits: when the record is durable,
	// with each server that answers, and when a new record is signed above a rival, to
	// which the receipt then belongs.
	OnProgress func(Result)
}

// Result is the result of a publish.
type Result struct {
	Record *ipns.Record
	// Previous is the record before this one; nil: there was none.
	Previous *ipns.Record
	// Outcome is New (also for a renewal), or Same if the Book had the record.
	Outcome names.Outcome
	// NewSequence reports whether the sequence differs from that of Previous.
	NewSequence bool
	// Rivals are records by another holder of the key that servers held, in the order
	// they were found; Record is above them unless an error says otherwise.
	Rivals []*ipns.Record
	// Receipt lists who took the record before Publish returned.
	Receipt routing.Receipt
	// Complete reports whether the announcement has ended; else it continues.
	Complete bool
	// Alone reports that this node is on no network, and need not be: nobody was to take
	// the record.
	Alone bool
	// Warnings are messages for the user.
	Warnings []string

	making *making // nil: the record was not signed by this call
}

// Errors on which callers branch.
var (
	// ErrUnknownSequence means that a newer record than this node knows may exist.
	ErrUnknownSequence = names.ErrUnknownSequence

	// ErrSequenceLow means that the requested sequence is not above the last one.
	ErrSequenceLow = errors.New("sequence number must be greater than the current record sequence")

	// ErrClock means that the clock is wrong.
	ErrClock = errors.New("clock is wrong")

	// ErrLifetime means that the lifetime or the TTL is invalid.
	ErrLifetime = errors.New("lifetime is not allowed")

	// ErrOlder means that the Book has a newer record.
	ErrOlder = errors.New("a newer record is known")

	// ErrClosed means that the Publisher was closed.
	ErrClosed = errors.New("publisher is closed")
)

// IfSequenceError means that someone else published first.
type IfSequenceError struct {
	Name    ipns.Name
	Want    uint64       // the last sequence that the request expected
	Value   string       // the value that was not published
	Current *ipns.Record // the record published instead; nil: none
}

func (e *IfSequenceError) Error() string {
	if e.Current == nil {
		return fmt.Sprintf("%s is not published: the last sequence should be %d, but there is none", e.Value, e.Want)
	}
	return fmt.Sprintf("%s is not published: the last sequence should be %d, but %s was published with %d",
		e.Value, e.Want, e.Current.Value(), e.Current.Sequence())
}

// NobodyExpected is the warning of a publish that reached no one because this node
// has no network.
const NobodyExpected = "this node is on no network, so only this node has the record"

// NotAnnouncedError means that a record is stored, but announced to fewer targets than
// requested.
type NotAnnouncedError struct {
	Result Result
	Wait   Wait
	Err    error // why the announcement or the wait ended; nil: only acks are missing
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
		p.slots = make(chan struct{}, maxAnnouncements)
		p.announce = make(map[ipns.Name]*announcement)
		p.retries = make(map[ipns.Name]retry)
		p.asking = make(map[ipns.Name]bool)
		p.calls = make(map[ipns.Name]int)
	})
}

func (p *Publisher) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

func (p *Publisher) log() *slog.Logger {
	if p.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Log
}

// Publish makes, enters and announces the next record of the signer's name. After a
// *NotAnnouncedError the record is stored and will be announced. After a *RivalError
// the name has another value than requested, whether or not a record was signed. After
// any other error nothing has changed, unless it is recordstore.ErrDoubt.
func (p *Publisher) Publish(ctx context.Context, signer ipns.Signer, req Request) (res Result, err error) {
	p.init()
	name, err := ipns.NameOf(signer.Public())
	if err != nil {
		return Result{}, fmt.Errorf("publish: %w", err)
	}
	ctx, end := tracing.Begin(ctx, tracing.Publish, name, "")
	defer func() { end(err) }()
	defer p.calling(name)()
	res, err = p.enter(ctx, name, signer, req, nil)
	if err != nil {
		return Result{}, fmt.Errorf("publish %s: %w", name, err)
	}
	res, err = p.announceAndWait(ctx, res, waiting{req.Via, req.Wait, req.Timeout, req.OnProgress})
	return p.warnClock(res), err
}

// calling notes that Publish is called for a name until the returned function is. Meanwhile
// Run leaves the name alone: it would find the record in the Book first, and announce it
// without looking for rivals.
func (p *Publisher) calling(name ipns.Name) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[name]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.calls[name]--; p.calls[name] == 0 {
			delete(p.calls, name)
		}
	}
}

// PutRequest says how to put a record that was signed elsewhere.
type PutRequest struct {
	// Origin is why the name is kept; 0: Hosted.
	Origin  recordstore.Origin
	Wait    Wait
	Timeout time.Duration // 0: DefaultTimeout
	// Via and OnProgress are as in Request.
	Via        routing.Router
	OnProgress func(Result)
}

// Put enters a record that was signed elsewhere, which must have been opened, and
// announces its bytes unchanged. It returns ErrOlder if the Book has a newer record.
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
	return p.announceAndWait(ctx, res, waiting{req.Via, req.Wait, req.Timeout, req.OnProgress})
}

// Close waits for running announcements until ctx ends, then stops them. The Publisher
// must not be used afterwards.
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
