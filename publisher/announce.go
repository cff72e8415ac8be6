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
	firstRetry   = 15 * time.Second
	slowestRetry = 5 * time.Minute
)

// errBusy says that so many announcements wait that one more has to follow later.
var errBusy = errors.New("too many announcements are waiting: it follows later")

// announcement is one record on its way to those who should hold it.
type announcement struct {
	cancel context.CancelFunc
	making *making // of rec, for run alone; nil: it was not signed just now

	mu      sync.Mutex // guards all below
	rec     *ipns.Record
	others  []*ipns.Record // rivals that were met
	yields  bool           // rec has to give way to one of them
	acks    int            // of rec
	receipt routing.Receipt
	over    bool
	err     error         // set before over, then fixed
	more    chan struct{} // closed when something above changes
}

// start announces a record, or joins the announcement of it that is going on.
// An older record of the name is not announced any further. One that was signed
// just now comes with how it was made: then rivals are looked for.
func (p *Publisher) start(rec *ipns.Record, made *making) (*announcement, error) {
	if p.Router == nil {
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
	a := &announcement{rec: rec, making: made, cancel: cancel, more: make(chan struct{})}
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

// run puts the record and notes what became of it.
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
	err := p.put(ctx, a)
	for errors.Is(err, errYields) {
		if err = p.raise(ctx, a); err == nil {
			err = p.put(ctx, a)
		}
	}
	if err2 := p.pass(stepAnnounced); err2 != nil {
		return err2
	}
	if ctx.Err() != nil {
		return ctx.Err() // overtaken or stopped: whoever comes next notes it
	}
	p.note(ctx, a, err)
	return err
}

// errYields says that what is announced has to give way to a rival.
var errYields = errors.New("another holder of the key has published")

// put announces the record as it is now. It ends with errYields when it meets a
// rival that is not below it.
func (p *Publisher) put(ctx context.Context, a *announcement) error {
	ctx, cancel := context.WithTimeout(ctx, announceLimit)
	defer cancel()
	rec, look := a.record(), routing.Look{}
	if a.making != nil {
		look = routing.Look{Before: true, Clock: len(a.making.made) == 1}
	}
	for ack, err := range p.Router.Put(ctx, rec, look) {
		if err != nil {
			a.failed(err)
			return err
		}
		if err := p.pass(stepAck); err != nil {
			return err
		}
		p.clocks.add(ack.Clock, p.now())
		yields := false
		for _, theirs := range []*ipns.Record{ack.Before, ack.Newer} {
			if theirs != nil && p.meet(ctx, a, theirs) {
				yields = true // before the ack is told of: who waits for it waits on
			}
		}
		a.add(ack)
		if yields {
			return errYields
		}
		if ack.Newer != nil {
			// Somebody else publishes this name: we must know before we sign again.
			if _, err := p.Book.Take(ctx, ack.Newer, names.Entrance{Origin: recordstore.Seen}); err != nil {
				p.log().Error("taking a newer record", "name", rec.Name().String(), "error", err)
			}
		}
	}
	return nil
}

// note keeps the receipt, and has Run come back if too few hold the record.
func (p *Publisher) note(ctx context.Context, a *announcement, put error) {
	if err := p.pass(stepNote); err != nil {
		return
	}
	s, now := a.progress(), p.now()
	name, receipt := s.rec.Name(), s.receipt
	held, of := receipt.Announced()
	u := recordstore.Upkeep{
		Name: name, LastPut: now, Announced: s.rec.Hash(), Holders: held, Due: now.Add(p.period()), Receipt: receipt,
	}
	if held == 0 || held < min(p.wanted(), of) {
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

// retry is a name that too few hold.
type retry struct {
	at    time.Time
	delay time.Duration // the one that led to at
}

// retryLater has Run announce the name again, each time twice as late.
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

// wake tells those who wait. Call with mu held.
func (a *announcement) wake() {
	close(a.more)
	a.more = make(chan struct{})
}

func (a *announcement) add(ack routing.Ack) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acks++
	a.receipt.Add(ack)
	a.wake()
}

// failed notes which networks are away.
func (a *announcement) failed(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.receipt.End(err)
	a.wake()
}

func (a *announcement) end(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over, a.err = true, err
	a.wake()
}

// progress is how far an announcement is.
type progress struct {
	rec     *ipns.Record
	acks    int // of rec
	receipt routing.Receipt
	rivals  []*ipns.Record
	yields  bool            // the record has to give way: what there is of acks is not enough
	over    bool            // nothing more comes
	more    <-chan struct{} // closes when there is more
}

func (a *announcement) progress() progress {
	a.mu.Lock()
	defer a.mu.Unlock()
	return progress{a.rec, a.acks, a.receipt, slices.Clone(a.others), a.yields, a.over, a.more}
}

// record returns what is announced now.
func (a *announcement) record() *ipns.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rec
}

// rivals returns what was met so far, rival the newest of that.
func (a *announcement) rivals() []*ipns.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.others)
}

func (a *announcement) rival() *ipns.Record { return slices.MaxFunc(a.rivals(), ipns.Compare) }

// met notes a rival, and whether the record has to give way to it. It reports
// whether it was met for the first time.
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

// replace goes on with a record that was signed above the rivals.
func (a *announcement) replace(rec *ipns.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rec, a.acks, a.receipt, a.yields = rec, 0, routing.Receipt{}, false
	a.wake()
}
