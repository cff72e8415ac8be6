package publisher

import (
	"context"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// tick is how often Run looks for retries.
const tick = time.Second

// Run does what nobody waits for, until ctx ends: it announces again what a
// crash left unannounced, and names that too few hold. Then it stops the
// announcements that are going on and waits for them. To keep what is announced
// alive is the work of a republisher.
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
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-clock.C:
		}
		p.retryDue(ctx)
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
