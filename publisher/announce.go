package publisher

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

const (
	maxAcks      = 4 * routing.MaxTargets // acks that one announcement reports one by one
	firstRetry   = 15 * time.Second
	slowestRetry = 5 * time.Minute
)

// errBusy means that too many announcements are waiting; Run retries this one later.
var errBusy = errors.New("too many announcements are waiting: it follows later")

// announcement is a record being announced.
type announcement struct {
	cancel context.CancelFunc
	via    routing.Router // nil: the Publisher's
	making *making        // how rec was made, used only by run; nil: not signed just now

	mu      sync.Mutex // guards the fields below
	rec     *ipns.Record
	others  []*ipns.Record // rivals found so far
	yields  bool           // rec must give way to one of them
	acks    []routing.Ack  // of rec
	receipt routing.Receipt
	counted bool // those that count are done; err is how their put ended
	over    bool
	err     error         // final once over is set
	more    chan struct{} // closed when a field above changes
}

// start announces a record, or returns its running announcement. That of an older
// record of the name is stopped. made is set for a record just signed here: its
// announcement then looks for rivals. If it must give way to some that are known, it
// begins with a raise. via is as in Request.
func (p *Publisher) start(rec *ipns.Record, made *making, via routing.Router, rivals ...*ipns.Record) (*announcement, error) {
	if p.router(via) == nil {
		return nil, routing.ErrNoTargets
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	if old := p.announce[rec.Name()]; old != nil {
		c := ipns.Compare(rec, old.record())
		if c == 0 {
			return old, nil
		}
		if c < 0 {
			return nil, ErrOlder
		}
		old.cancel()
	} else if len(p.announce) >= maxQueued {
		p.retries[rec.Name()] = retry{at: p.now().Add(firstRetry), delay: firstRetry}
		return nil, errBusy
	}
	ctx, cancel := context.WithCancel(p.base)
	a := &announcement{rec: rec, making: made, via: via, cancel: cancel, more: make(chan struct{}), others: rivals, yields: len(rivals) > 0}
	p.announce[rec.Name()] = a
	p.running.Go(func() {
		defer cancel()
		err := p.run(ctx, a)
		p.mu.Lock()
		if p.announce[rec.Name()] == a {
			delete(p.announce, rec.Name())
		}
		p.mu.Unlock()
		a.end(err)
	})
	return a, nil
}

func (p *Publisher) router(via routing.Router) routing.Router {
	if via != nil {
		return via
	}
	return p.Router
}

// run puts the record and notes the result.
func (p *Publisher) run(ctx context.Context, a *announcement) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.pass(stepAnnounce); err != nil {
		return err
	}
	err := errYields // it goes on with a raise
	if !a.progress(nil, 0).yields {
		err = p.put(ctx, a)
	}
	for errors.Is(err, errYields) && ctx.Err() == nil { // meet ends ctx if it is superseded
		if err = p.raise(ctx, a); err == nil {
			err = p.put(ctx, a)
		}
	}
	if err2 := p.pass(stepAnnounced); err2 != nil {
		return err2
	}
	if ctx.Err() != nil {
		return ctx.Err() // superseded or stopped: the next announcement notes its own result
	}
	var rival *RivalError
	if errors.As(err, &rival) {
		// Whoever asked for it may not be waiting any more.
		p.log().Warn("a publish gave way to that of another holder of the key", "error", err)
		if err := p.Book.Pend(ctx, rival.Name, nil); err != nil {
			p.log().Error("noting that a publish gave way", "name", rival.Name.String(), "error", err)
		}
	}
	p.note(ctx, a, err)
	return err
}

// errYields means that the announced record must give way to a rival.
var errYields = errors.New("another holder of the key has published")

// put announces the current record. It returns errYields if it finds a rival that is
// not below it.
func (p *Publisher) put(ctx context.Context, a *announcement) error {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	rec, look := a.record(), routing.Look{}
	if a.making != nil {
		look = routing.Look{Before: true, Clock: len(a.making.made) == 1}
	}
	look.Counted = a.allCounted
	for ack, err := range p.router(a.via).Put(ctx, rec, look) {
		if err != nil {
			a.failed(err)
			return err
		}
		if err := p.pass(stepAck); err != nil {
			return err
		}
		p.AddClock(ack.Clock)
		yields := false
		for _, theirs := range []*ipns.Record{ack.Before, ack.Newer} {
			if theirs != nil && p.meet(ctx, a, theirs) {
				yields = true // set before the ack is added, so that waiting callers keep waiting
			}
		}
		a.add(ack)
		if yields {
			return errYields
		}
		if ack.Newer != nil {
			// Someone else publishes this name: the Book must know before the next record is signed.
			if _, err := p.Book.Take(ctx, ack.Newer, names.Entrance{Origin: recordstore.Seen}); err != nil {
				p.log().Error("taking a newer record", "name", rec.Name().String(), "error", err)
			}
		}
	}
	return nil
}

// note stores the receipt, and schedules a retry if the record has too few holders.
func (p *Publisher) note(ctx context.Context, a *announcement, put error) {
	if err := p.pass(stepNote); err != nil {
		return
	}
	s, now := a.progress(nil, 0), p.now()
	name, receipt := s.rec.Name(), s.receipt
	held, of := receipt.Announced()
	u := recordstore.Upkeep{
		Name: name, LastPut: now, Announced: s.rec.Hash(), Holders: held, Due: now.Add(p.period()), Receipt: receipt,
	}
	if held == 0 || held < min(p.wanted(), of) || unheard(p.router(a.via), receipt, put) {
		u.LastErr = receipt.String()
		if put != nil {
			u.LastErr += ": " + put.Error()
		}
		u.Due = p.retryLater(name, now)
	} else {
		p.forgetRetry(name)
	}
	if err := p.Book.Note(ctx, u); err != nil {
		p.log().Error("noting an announcement", "name", name.String(), "error", err)
	}
	p.pass(stepNoted)
}

// unheard reports whether a put took so long that those that count were not heard at
// all: what others took is then no success.
func unheard(router routing.Router, r routing.Receipt, put error) bool {
	return errors.Is(put, context.DeadlineExceeded) && r.Road() != routing.RoadOf(router)
}

func (p *Publisher) wanted() int {
	if p.Wanted == 0 {
		return DefaultWanted
	}
	return p.Wanted
}

func (p *Publisher) period() time.Duration {
	if p.RepublishPeriod <= 0 {
		return DefaultRepublishPeriod
	}
	return p.RepublishPeriod
}

// retry is the next announcement of a name that has too few holders.
type retry struct {
	at    time.Time
	delay time.Duration // before at; doubled for the next retry
}

// retryLater schedules another announcement of the name, doubling the delay each time.
func (p *Publisher) retryLater(name ipns.Name, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	delay := firstRetry
	if old, ok := p.retries[name]; ok {
		delay = min(2*old.delay, slowestRetry)
	}
	p.retries[name] = retry{at: now.Add(delay), delay: delay}
	return now.Add(delay)
}

func (p *Publisher) forgetRetry(name ipns.Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.retries, name)
}

// wake wakes waiting callers. Call with mu held.
func (a *announcement) wake() {
	close(a.more)
	a.more = make(chan struct{})
}

func (a *announcement) add(ack routing.Ack) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.acks) < maxAcks {
		a.acks = append(a.acks, ack)
	}
	a.receipt.Add(ack)
	a.wake()
}

// failed adds an error to the receipt, such as which networks are away.
func (a *announcement) failed(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.receipt.End(err)
	a.wake()
}

// allCounted notes that only targets that do not count can follow.
func (a *announcement) allCounted(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.receipt.End(err)
	a.counted, a.err = true, err
	a.wake()
}

func (a *announcement) end(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over, a.err = true, err
	a.wake()
}

// progress is a snapshot of an announcement.
type progress struct {
	rec     *ipns.Record
	acks    []routing.Ack // of rec, since the last look
	receipt routing.Receipt
	rivals  []*ipns.Record
	yields  bool            // the record must give way, so its acks are not enough
	counted bool            // only acks that do not count can follow
	over    bool            // no more progress follows
	err     error           // how it ended, if one of these two is set
	more    <-chan struct{} // closed when there is more
}

// progress returns how far the announcement is, to a caller that has seen the first n acks
// of rec.
func (a *announcement) progress(rec *ipns.Record, n int) progress {
	a.mu.Lock()
	defer a.mu.Unlock()
	if rec != a.rec {
		n = 0
	}
	return progress{a.rec, a.acks[n:len(a.acks):len(a.acks)], a.receipt, slices.Clone(a.others), a.yields, a.counted, a.over, a.err, a.more}
}

// record returns the record being announced.
func (a *announcement) record() *ipns.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rec
}

// rivals returns the rivals found so far; rival returns the newest of them.
func (a *announcement) rivals() []*ipns.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.others)
}

func (a *announcement) rival() *ipns.Record { return slices.MaxFunc(a.rivals(), ipns.Compare) }

// met adds a rival, and notes whether the record must give way to it. It reports
// whether the rival is new.
func (a *announcement) met(theirs *ipns.Record, yields bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.yields = a.yields || yields
	if slices.ContainsFunc(a.others, func(r *ipns.Record) bool { return r.DataHash() == theirs.DataHash() }) {
		return false
	}
	if len(a.others) == maxRivals {
		a.others = a.others[1:]
	}
	a.others = append(a.others, theirs)
	return true
}

// replace sets the record to announce to one signed above the rivals.
func (a *announcement) replace(rec *ipns.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rec, a.acks, a.receipt, a.yields = rec, nil, routing.Receipt{}, false
	a.counted, a.err = false, nil
	a.wake()
}
