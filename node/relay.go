package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
)

// Limits of a relay.
const (
	maxRelays    = 64              // records on their way at once
	relayTimeout = time.Minute     // for one of them
	relayAgain   = 5 * time.Second // how long those wait who come while there are too many
	relayAcks    = publisher.DefaultAcks

	relayBurst = 30              // records that one client may send at once
	relayEvery = 2 * time.Second // and then one in this time
	maxSenders = 16_384          // clients whose pace is known
)

// relay puts records that strangers send on the DHTs, and keeps none. What it learns goes
// through the Book: a record of an own or hosted name is taken, of any other the mark is
// raised, and what is older than that is refused.
type relay struct {
	ctx    context.Context // ends with the node
	run    func(func())    // runs a put, which the node waits for
	book   *names.Book
	names  *resolver.Resolver
	router routing.Router // the DHTs alone: an HTTP router could lead back here
	turns  chan struct{}
	pace   pace
}

func (n *Node) newRelay(ctx context.Context, router routing.Router) *relay {
	return &relay{
		ctx: ctx, run: n.background, book: n.Book, names: n.Resolver, router: router,
		turns: make(chan struct{}, maxRelays),
	}
}

// take is the Take of a [delegated.Handler]. It returns when so many servers have taken
// the record that the others may follow in the background, or all have answered.
func (l *relay) take(r *http.Request, rec *ipns.Record) error {
	if wait := l.pace.enter(sender(r), time.Now()); wait > 0 {
		return &delegated.LimitError{RetryAfter: wait, Err: errors.New("too many records from this address")}
	}
	if err := l.judge(r.Context(), rec); err != nil {
		return err
	}
	select {
	case l.turns <- struct{}{}:
	default:
		return &delegated.LimitError{RetryAfter: relayAgain, Err: errors.New("too many records at once")}
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
func (l *relay) judge(ctx context.Context, rec *ipns.Record) error {
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
func (l *relay) put(rec *ipns.Record, answer chan<- error) {
	ctx, cancel := context.WithTimeout(l.ctx, relayTimeout)
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
		if took >= relayAcks {
			say(nil)
		}
	}
	if took == 0 {
		say(fmt.Errorf("no server took the record: %w", last))
	}
	say(nil)
}

// pace bounds how many records each client sends. The zero value is ready to use.
type pace struct {
	mu   sync.Mutex
	free map[netip.Addr]time.Time // when all that the client has sent is forgotten
}

// enter counts a record, or returns how long its client has to wait first. Clients
// without an address, and those on this machine, never wait.
func (p *pace) enter(a netip.Addr, now time.Time) (wait time.Duration) {
	if !a.IsValid() || a.IsLoopback() {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	free := p.free[a]
	if free.Before(now) {
		free = now
	}
	free = free.Add(relayEvery)
	if wait = free.Sub(now.Add(relayBurst * relayEvery)); wait > 0 {
		return wait
	}
	p.makeRoom(now)
	p.free[a] = free
	return 0
}

// makeRoom forgets clients while there are too many: those that would not have to wait,
// or else any. Call with mu held.
func (p *pace) makeRoom(now time.Time) {
	if p.free == nil {
		p.free = map[netip.Addr]time.Time{}
	}
	if len(p.free) < maxSenders {
		return
	}
	maps.DeleteFunc(p.free, func(_ netip.Addr, free time.Time) bool { return !free.After(now) })
	for a := range p.free {
		if len(p.free) < maxSenders {
			return
		}
		delete(p.free, a)
	}
}

// sender is the address of a request's client; of IPv6 the /64, which is what one user
// gets.
func sender(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // such as on a Unix socket
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is6() && !a.IsLoopback() {
		p, _ := a.Prefix(64) // of a valid IPv6 address it is one
		return p.Addr()
	}
	return a
}
