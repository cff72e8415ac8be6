package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

const (
	tick      = time.Second      // how often Run looks for retries
	firstPass = time.Minute      // after the start, to republish
	renewers  = 16               // names that are renewed at once
	signLimit = 30 * time.Second // for a signer to answer
)

// Run does what nobody waits for, until ctx ends: it announces again what a
// crash left unannounced, names that too few hold, and, each RepublishPeriod,
// every own name; near its EOL it renews a record. Then it stops the
// announcements that are going on and waits for them.
func (p *Publisher) Run(ctx context.Context) error {
	p.init()
	defer func() {
		over, cancel := context.WithCancel(ctx)
		cancel()
		p.Close(over)
	}()
	if err := p.resume(ctx); err != nil && ctx.Err() == nil {
		p.log().Error("looking for records to announce", "error", err)
	}
	clock := time.NewTicker(tick)
	defer clock.Stop()
	next := p.now().Add(min(firstPass, p.period()))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-clock.C:
		}
		p.retryDue(ctx)
		if now := p.now(); p.RepublishPeriod >= 0 && !now.Before(next) {
			next = now.Add(p.period())
			if err := p.republish(ctx); err != nil && ctx.Err() == nil {
				p.log().Error("republishing", "error", err)
			}
		}
	}
}

// Stats says what goes on, for metrics.
type Stats struct {
	Announcing int // records on their way, or waiting for it
	Retrying   int // names that too few hold
}

// Stats returns what goes on now.
func (p *Publisher) Stats() Stats {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Announcing: len(p.announce), Retrying: len(p.retries)}
}

// resume announces the own records that no receipt tells of: the process ended
// between storing and announcing, or its bookkeeping is lost.
func (p *Publisher) resume(ctx context.Context) error {
	for e, err := range p.Book.Store.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			return err
		}
		if e.Origin != recordstore.Own || e.Record == nil || e.Record.Expired(p.now()) {
			continue
		}
		u, err := p.Book.Upkeep(ctx, e.Name)
		if err != nil {
			return err
		}
		if u.Announced != e.Record.Hash() || u.LastErr != "" {
			p.start(e.Record) // when too many wait, it stays for retryDue
		}
	}
	return nil
}

// retryDue announces again what is due.
func (p *Publisher) retryDue(ctx context.Context) {
	now := p.now()
	var due []ipns.Name
	p.mu.Lock()
	for name, r := range p.retries {
		if p.announce[name] == nil && !r.at.After(now) {
			due = append(due, name)
		}
	}
	p.mu.Unlock()
	for _, name := range due {
		if ctx.Err() != nil {
			return
		}
		if err := p.again(ctx, name); err != nil {
			p.log().Error("announcing again", "name", name.String(), "error", err)
		}
	}
}

// again announces the record that the Book now has of the name.
func (p *Publisher) again(ctx context.Context, name ipns.Name) error {
	e, err := p.Book.Get(ctx, name)
	if err != nil {
		return err
	}
	if e.Record == nil || e.Record.Expired(p.now()) {
		p.forgetRetry(name)
		return nil
	}
	_, err = p.start(e.Record)
	return err
}

// republish announces every own name once more, renewed if it is time. A name that
// fails is noted and delays nobody.
func (p *Publisher) republish(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, renewers)
	for e, err := range p.Book.Store.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			return err
		}
		if e.Origin != recordstore.Own || e.Record == nil {
			continue
		}
		if !p.renewalDue(e) {
			p.start(e.Record)
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			rec := e.Record
			if renewed, err := p.Renew(ctx, e); err == nil {
				rec = renewed
			} else if ctx.Err() == nil {
				p.renewalFailed(ctx, e, err)
			}
			if !rec.Expired(p.now()) {
				p.start(rec)
			}
		})
	}
	return nil
}

// lifetime is how long the record was to live when it was entered.
func (p *Publisher) lifetime(e recordstore.Entry) time.Duration {
	if d := e.Record.EOL().Sub(e.Changed); d > 0 && !e.Changed.IsZero() {
		return d
	}
	return firstSet(p.Lifetime, ipns.DefaultLifetime)
}

// renewalDue reports whether less than half of the record's life is left.
func (p *Publisher) renewalDue(e recordstore.Entry) bool {
	return e.Record.EOL().Sub(p.now()) < p.lifetime(e)/2
}

// Renew signs the record of the entry again with a later EOL and nothing else
// changed, and enters it. If the entry has changed since it was read, it returns
// recordstore.ErrConflict: a publish was quicker, and nothing is overtaken.
func (p *Publisher) Renew(ctx context.Context, e recordstore.Entry) (*ipns.Record, error) {
	if p.Signers == nil {
		return nil, errors.New("there is no key to renew it")
	}
	now := p.now()
	if _, _, err := p.check(now, Request{Value: e.Record.Value(), Lifetime: p.lifetime(e), TTL: NoTTL}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, signLimit)
	defer cancel()
	signer, err := p.Signers(ctx, e.Name)
	if err != nil {
		return nil, fmt.Errorf("renew %s: %w", e.Name, err)
	}
	rec, err := ipns.Renew(ctx, signer, e.Record, now.Add(p.lifetime(e)))
	if err != nil {
		return nil, fmt.Errorf("renew %s: %w", e.Name, err)
	}
	outcome, err := p.Book.Enter(ctx, e, rec)
	if err == nil && outcome == names.Older {
		err = ErrOlder
	}
	if err != nil {
		return nil, fmt.Errorf("renew %s: %w", e.Name, err)
	}
	return rec, nil
}

func (p *Publisher) renewalFailed(ctx context.Context, e recordstore.Entry, err error) {
	if errors.Is(err, recordstore.ErrConflict) {
		return // a publish was quicker
	}
	p.log().Warn("a record could not be renewed", "name", e.Name.String(), "eol", e.Record.EOL(), "error", err)
	u, err2 := p.Book.Upkeep(ctx, e.Name)
	if err2 != nil {
		return
	}
	u.LastErr = err.Error()
	if err := p.Book.Note(ctx, u); err != nil {
		p.log().Error("noting a failed renewal", "name", e.Name.String(), "error", err)
	}
}
