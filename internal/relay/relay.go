// Package relay puts records that strangers send by HTTP on the DHTs, and keeps none. What it
// learns goes through the Book: a record of an own or hosted name is taken, of any other the
// mark is raised, and what is older than that is refused.
package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/door"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
)

// Limits of a relay.
const (
	maxRelays = 64              // records on their way at once
	timeout   = time.Minute     // for one of them
	again     = 5 * time.Second // how long those wait who come while there are too many
)

// Relay relays records. Use New.
type Relay struct {
	ctx    context.Context // ends with the node
	run    func(func())    // runs a put, which the node waits for
	book   *names.Book
	names  *resolver.Resolver
	router routing.Router // the DHTs alone: an HTTP router could lead back here
	turns  chan struct{}
	pace   pace
}

// New returns a relay whose puts run runs, and end with ctx.
func New(ctx context.Context, run func(func()), book *names.Book, names *resolver.Resolver, router routing.Router) *Relay {
	return &Relay{ctx: ctx, run: run, book: book, names: names, router: router, turns: make(chan struct{}, maxRelays)}
}

// Take is the Take of a [delegated.Handler]. It returns when so many servers have taken
// the record that the others may follow in the background, or all have answered.
func (l *Relay) Take(r *http.Request, rec *ipns.Record) error {
	if wait := l.pace.enter(door.Client(r), time.Now()); wait > 0 {
		return &delegated.LimitError{RetryAfter: wait, Err: errors.New("too many records from this address")}
	}
	if err := l.judge(r.Context(), rec); err != nil {
		return err
	}
	select {
	case l.turns <- struct{}{}:
	default:
		return &delegated.LimitError{RetryAfter: again, Err: errors.New("too many records at once")}
	}
	answer := make(chan error, 1)
	l.run(func() {
		defer func() { <-l.turns }()
		l.put(rec, answer)
	})
	select {
	case err := <-answer:
		return err
	case <-r.Context().Done():
		return r.Context().Err()
	}
}

// judge enters the record into the Book, and refuses it if something newer is known.
func (l *Relay) judge(ctx context.Context, rec *ipns.Record) error {
	outcome, err := l.book.Take(ctx, rec, names.Entrance{Origin: recordstore.Seen})
	if err != nil {
		return err
	}
	if outcome != names.Older && outcome != names.Fork {
		return nil
	}
	hop, err := l.names.Lookup(ctx, rec.Name(), resolver.Options{})
	switch {
	case err == nil && ipns.Compare(hop.Record, rec) > 0:
		return &delegated.NewerError{Current: hop.Record}
	case outcome == names.Fork:
		return nil
	}
	return &delegated.NewerError{} // it was seen, and nobody has it now
}

// put puts the record, and says what came of it as soon as that is known.
func (l *Relay) put(rec *ipns.Record, answer chan<- error) {
	ctx, cancel := context.WithTimeout(l.ctx, timeout)
	defer cancel()
	say := func(err error) {
		select {
		case answer <- err:
		default: // it was said before
		}
	}
	took, last := 0, routing.ErrNoTargets
	for ack, err := range l.router.Put(ctx, rec, routing.Look{}) {
		switch {
		case err != nil:
			last = err
		case ack.Newer != nil && ipns.Compare(ack.Newer, rec) > 0:
			_, err := l.book.Take(ctx, ack.Newer, names.Entrance{Origin: recordstore.Seen})
			say(cmp.Or(err, error(&delegated.NewerError{Current: ack.Newer})))
			return
		case ack.Err != nil:
			last = ack.Err
		default:
			took++
		}
		if took >= publisher.DefaultAcks {
			say(nil)
		}
	}
	if took == 0 {
		say(fmt.Errorf("no server took the record: %w", last))
	}
	say(nil)
}
