// Package watch gives the changes of names to readers that stay, such as a page in a
// browser, a program behind HTTP or a webhook, and bounds what they cost.
//
// A reader gets every name that changes after its position, with its newest entry: values
// in between may be left out, an older one never follows a newer one. It resumes from the
// position of what it got last, in this run of the node or in a later one. While nothing
// changes it gets a heartbeat, so that both ends notice a connection that is gone.
//
// One pump reads the changes of the Book for all readers of a process; it runs while there
// are readers. Readers that resume share a second one, which reads what they have missed.
// Names that this node does not hold are searched, each once for all who watch it. What a
// search finds enters the Book, which tells of it.
//
// A reader that is slow holds one change of a name at most, and [MaxPending] in all; what
// it can't hold it reads from the store, later.
package watch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

const (
	// MaxReaders bounds the readers of one process, but for those of the operator.
	MaxReaders = 20_000
	// MaxPerCaller bounds the readers of one caller.
	MaxPerCaller = 10_240
	// MaxPerStranger bounds those of one caller who has shown no token. Each may watch names
	// that are searched for it alone.
	MaxPerStranger = 64
	// MaxOperator bounds those of the operator, such as the page and the command line.
	MaxOperator = 64
	// MaxNames bounds the names that one reader watches.
	MaxNames = 1024
	// MaxTopics bounds the names that all readers together watch by name.
	MaxTopics = 65_536
	// MaxPending bounds the changes that a reader of all names holds.
	MaxPending = 1024
	// Heartbeat is how often a reader gets something.
	Heartbeat = 15 * time.Second
)

var (
	// ErrFull means that no more readers are taken now.
	ErrFull = errors.New("too many readers watch names already")
	// ErrCaller means that no more are taken of this caller.
	ErrCaller = errors.New("you have too many readers already")
	// ErrRevoked means that the caller may not read any more.
	ErrRevoked = errors.New("you may not watch names any more")
	// ErrNames means that a reader wants too many names.
	ErrNames = fmt.Errorf("a reader watches %d names at most", MaxNames)
)

// Kind says what an event is about. Events of one name that were not read yet become one,
// with all of their kinds.
type Kind uint8

const (
	// Changed: the record of the name.
	Changed Kind = 1 << iota
	// Ending: the record is near its EOL, and there is none that follows it.
	Ending
	// Ended: the record has expired, and there is none that follows it.
	Ended
	// Gone: the node holds the name no more. It is searched from now on.
	Gone
)

// Event is a change of a name, or a heartbeat.
type Event struct {
	// Position is where to resume.
	Position recordstore.Position
	// Kind is zero in a heartbeat, and in the first event of a reader.
	Kind Kind
	// Entry is that of the name that has changed. Its name is zero if Kind is.
	Entry recordstore.Entry
	// Gap says that changes before this position are not known any more: what the reader
	// knows of names may be old. Kind is then zero.
	Gap bool
	// More says that another event is at hand.
	More bool

	from *change // what its readers share; nil: nothing
}

// Request says what a reader wants.
type Request struct {
	// Since is the position to begin after; "": now.
	Since recordstore.Position
	// Names are those to watch; none: all that this node holds.
	Names []ipns.Name
	// Caller is who reads, for [Names.MaxPerCaller]; "": the operator.
	Caller string
	// Stranger says that the caller has shown no token.
	Stranger bool
	// Poll has a hosted name searched as if it were foreign: its owner may publish
	// elsewhere only.
	Poll bool
	// Still says at each heartbeat whether the caller may still read; nil: it may.
	Still func() bool
}

// Names are the names that readers watch. Set its fields before first use.
type Names struct {
	Book     *names.Book
	Stopping <-chan struct{} // closed when readers are to leave; nil: never
	// Search searches the networks for a name and returns its newest record. What it finds
	// has entered the Book by then. nil: names that are not held here are not searched.
	Search func(context.Context, ipns.Name) (*ipns.Record, error)
	// Listen has records of a name come by pubsub, into the Book, until ctx ends. nil: none do.
	Listen func(context.Context, ipns.Name)

	MaxReaders   int           // 0: the constant MaxReaders
	MaxPerCaller int           // 0: the constant MaxPerCaller
	MinPoll      time.Duration // least time between two searches; 0: the constant MinPoll
	MaxPoll      time.Duration // longest time between two searches; 0: the constant MaxPoll

	mu      sync.Mutex // guards all below, and the fields of run and topic that say so
	readers int        // but for the operator's
	callers map[string]int
	topics  map[ipns.Name]*topic // the names that readers watch by name
	all     map[*reader]struct{} // the readers of all names
	run     *run                 // nil: nobody reads
}

// Read yields what changes after a position, until ctx ends, which is an error, or the node
// stops, which is none. The first event comes at once and has only the position after
// which changes are yielded.
func (n *Names) Read(ctx context.Context, req Request) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		r, err := n.enter(ctx, req)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer n.leave(r)
		ahead := n.isAhead(ctx, r, req.Since)
		if err := n.join(r, req.Since, ahead); err != nil {
			yield(Event{}, err)
			return
		}
		if err := n.read(ctx, r, req.Still, yield); err != nil {
			yield(Event{}, err)
		}
	}
}

// read yields what a reader gets. It returns the error that ended it, or nil if the reader
// or the node did.
func (n *Names) read(ctx context.Context, r *reader, still func() bool, yield func(Event, error) bool) error {
	if !yield(Event{Position: r.position()}, nil) {
		return nil
	}
	beat := time.NewTicker(Heartbeat)
	defer beat.Stop()
	for {
		for e, ok := r.next(); ok; e, ok = r.next() {
			if !yield(e, nil) {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if r.isBehind() {
			r.run.want(r)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.Stopping:
			return nil
		case <-r.run.failed:
			return r.run.err
		case <-r.wake:
		case <-beat.C:
			if still != nil && !still() {
				return ErrRevoked
			}
			n.advance(r)
			if !yield(Event{Position: r.position()}, nil) {
				return nil
			}
		}
	}
}

// enter counts a reader, and starts the pump with the first one.
func (n *Names) enter(ctx context.Context, req Request) (*reader, error) {
	r := &reader{names: unique(req.Names), resumes: req.Since != "", caller: req.Caller, poll: req.Poll, wake: make(chan struct{}, 1)}
	if len(r.names) > MaxNames {
		return nil, ErrNames
	}
	n.mu.Lock()
	if err := n.mayEnter(req.Caller, req.Stranger); err != nil {
		n.mu.Unlock()
		return nil, err
	}
	if n.callers == nil {
		n.callers = make(map[string]int)
	}
	if n.callers[r.caller]++; r.caller != "" {
		n.readers++
	}
	if n.run == nil {
		n.run = start(n)
	}
	r.run = n.run
	r.run.users++
	n.mu.Unlock()
	select {
	case <-r.run.began:
		return r, nil
	case <-r.run.failed:
		n.leave(r)
		return nil, r.run.err
	case <-ctx.Done():
		n.leave(r)
		return nil, ctx.Err()
	}
}

// mayEnter says why there is no room for a reader. Call with mu held.
func (n *Names) mayEnter(caller string, stranger bool) error {
	switch {
	case stranger && n.callers[caller] >= MaxPerStranger:
		return ErrCaller
	case caller == "" && n.callers[""] >= MaxOperator, caller != "" && n.readers >= or(n.MaxReaders, MaxReaders):
		return ErrFull
	case caller != "" && n.callers[caller] >= or(n.MaxPerCaller, MaxPerCaller):
		return ErrCaller
	}
	return nil
}

// or returns v, or if it is not set what else applies.
func or[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// isAhead reports whether a position is one that the pump has not reached yet, though the
// store has: the reader comes from another daemon that is a moment ahead.
func (n *Names) isAhead(ctx context.Context, r *reader, since recordstore.Position) bool {
	if since == "" || !n.Book.Shared() {
		return false
	}
	n.mu.Lock()
	place, err := since.In(r.run.generation)
	ahead := err == nil && r.run.place.Before(place)
	n.mu.Unlock()
	return ahead && n.Book.Reached(ctx, since)
}

// join lets a reader have what changes from now on, and has it read what it has missed.
// ahead says that the store has reached since, whatever the pump has.
func (n *Names) join(r *reader, since recordstore.Position, ahead bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	added := 0
	for _, name := range r.names {
		if n.topics[name] == nil {
			added++
		}
	}
	if len(n.topics)+added > MaxTopics {
		return ErrFull
	}
	r.at, r.place = r.run.at, r.run.place
	if since != "" {
		place, err := since.In(r.run.generation)
		switch {
		case errors.Is(err, recordstore.ErrGap), err == nil && r.run.place.Before(place) && !ahead:
			r.gap = true
			r.wakeUp()
		case err != nil:
			return err
		default:
			r.at, r.place, r.behind = since, place, place.Before(r.run.place)
		}
	}
	if len(r.names) == 0 {
		if n.all == nil {
			n.all = make(map[*reader]struct{})
		}
		n.all[r] = struct{}{}
	}
	for _, name := range r.names {
		n.subscribe(r, name)
	}
	r.joined = true
	r.run.poke()
	return nil
}

// leave forgets a reader. The last one stops the pump and waits for it.
func (n *Names) leave(r *reader) {
	n.mu.Lock()
	if r.joined {
		delete(n.all, r)
		for _, name := range r.names {
			n.unsubscribe(r, name)
		}
	}
	if n.callers[r.caller]--; n.callers[r.caller] == 0 {
		delete(n.callers, r.caller)
	}
	if r.caller != "" {
		n.readers--
	}
	r.run.users--
	last := r.run.users == 0
	if last && n.run == r.run {
		n.run = nil
	}
	n.mu.Unlock()
	if last {
		r.run.stop()
	}
}

// advance moves the position of a reader that has nothing to read up to that of the pump.
func (n *Names) advance(r *reader) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.behind && !r.catching && r.queue.len() == 0 {
		r.at, r.place = r.run.at, r.run.place
	}
}

// Readers returns how many readers there are, and how many names they watch by name.
func (n *Names) Readers() (readers, watched int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.readers + n.callers[""], len(n.topics)
}

// until returns how long it is until a time by the clock of the Book, which may jump.
func (n *Names) until(at time.Time) time.Duration {
	if n.Book.Now != nil {
		return at.Sub(n.Book.Now())
	}
	return time.Until(at)
}

// unique returns names without those that are there twice.
func unique(list []ipns.Name) []ipns.Name {
	seen := make(map[ipns.Name]bool, len(list))
	out := make([]ipns.Name, 0, len(list))
	for _, name := range list {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}
