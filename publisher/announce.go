package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

const (
	maxAcks      = 4 * routing.MaxTargets // that one announcement passes on
	firstRetry   = 15 * time.Second
	slowestRetry = 5 * time.Minute
)

// errBusy says that so many announcements wait that one more has to follow later.
var errBusy = errors.New("too many announcements are waiting: it follows later")

// announcement is one record on its way to those who should hold it.
type announcement struct {
	rec    *ipns.Record
	cancel context.CancelFunc

	mu      sync.Mutex // guards all below
	acks    []routing.Ack
	receipt routing.Receipt
	over    bool
	err     error         // set before over, then fixed
	more    chan struct{} // closed when something above changes
}

// start announces a record, or joins the announcement of it that is going on.
// An older record of the name is not announced any further.
func (p *Publisher) start(rec *ipns.Record) (*announcement, error) {
	if p.Router == nil {
		return nil, routing.ErrNoTargets
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	if old := p.announce[rec.Name()]; old != nil {
		c := ipns.Compare(rec, old.rec)
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
	a := &announcement{rec: rec, cancel: cancel, more: make(chan struct{})}
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
	if err2 := p.pass(stepAnnounced); err2 != nil {
		return err2
	}
	if ctx.Err() != nil {
		return ctx.Err() // overtaken or stopped: whoever comes next notes it
	}
	p.note(ctx, a, err)
	return err
}

func (p *Publisher) put(ctx context.Context, a *announcement) error {
	ctx, cancel := context.WithTimeout(ctx, announceLimit)
	defer cancel()
	for ack, err := range p.Router.Put(ctx, a.rec, routing.Look{}) {
		if err != nil {
			a.failed(err)
			return err
		}
		if err := p.pass(stepAck); err != nil {
			return err
		}
		a.add(ack)
		if ack.Newer != nil {
			// Somebody else publishes this name: we must know before we sign again.
			if _, err := p.Book.Take(ctx, ack.Newer, names.Entrance{Origin: recordstore.Seen}); err != nil {
				p.log().Error("taking a newer record", "name", a.rec.Name().String(), "error", err)
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
	name, now := a.rec.Name(), p.now()
	_, receipt, _, _ := a.since(0)
	held, of := receipt.Announced()
	u := recordstore.Upkeep{
		Name: name, LastPut: now, Announced: a.rec.Hash(), Holders: held, Due: now.Add(p.period()), Receipt: encodeReceipt(receipt),
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

// encodeReceipt keeps the figures if the targets are too many to keep.
func encodeReceipt(r routing.Receipt) []byte {
	b, err := json.Marshal(r)
	if err == nil && len(b) <= recordstore.MaxReceipt {
		return b
	}
	b, err = json.Marshal(r.Figures())
	if err != nil || len(b) > recordstore.MaxReceipt {
		return nil
	}
	return b
}

// Receipt decodes the receipt of the last announcement that was noted; the zero
// Receipt if there was none.
func Receipt(u recordstore.Upkeep) (routing.Receipt, error) {
	var r routing.Receipt
	if len(u.Receipt) == 0 {
		return r, nil
	}
	err := json.Unmarshal(u.Receipt, &r)
	return r, err
}

// wake tells those who wait. Call with mu held.
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

// since returns the acks after the first n, the receipt so far, whether the
// announcement is over, and a channel that closes when there is more.
func (a *announcement) since(n int) (acks []routing.Ack, r routing.Receipt, over bool, more <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.acks[n:len(a.acks):len(a.acks)], a.receipt, a.over, a.more
}
