package publisher

import (
	"context"
	"errors"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// tick is how often Run looks for retries.
const tick = time.Second

// resumeAsks is how many names are asked for after a start. The others are left to
// a republisher, which asks for many with one visit to each server.
const resumeAsks = 64

// Run does what nobody waits for, until ctx ends: it announces again what a
// crash left unannounced, and names that too few hold. Of what a restored store has
// it asks first whether others have something newer. Then it stops the
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
	asks := 0
	for e, err := range p.Book.Scan(ctx, recordstore.Region{}) {
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
		if u.Announced == e.Record.Hash() && u.LastErr == "" {
			continue
		}
		current, err := p.Book.Current(ctx, e)
		switch {
		case err != nil:
			return err
		case current:
			p.start(e.Record, nil) // when too many wait, it stays for retryDue
		case asks < resumeAsks:
			asks++
			p.ask(ctx, e.Name)
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
		if p.announce[name] == nil && !p.asking[name] && !r.at.After(now) {
			due = append(due, name)
		}
	}
	p.mu.Unlock()
	for _, name := range due {
		if ctx.Err() != nil {
			return
		}
		err := p.again(ctx, name)
		if errors.Is(err, errBusy) {
			break // so are the others
		}
		if err != nil {
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
	current, err := p.Book.Current(ctx, e)
	if err == nil && current {
		_, err = p.start(e.Record, nil)
	} else if err == nil {
		p.ask(ctx, name)
	}
	return err
}

// ask announces the record of a name, if others have nothing newer, or what they
// have. If they do not tell, Run comes back to it.
func (p *Publisher) ask(ctx context.Context, name ipns.Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.asking[name] {
		return
	}
	p.asking[name] = true
	p.running.Go(func() {
		rec, err := p.newest(ctx, name)
		p.mu.Lock()
		delete(p.asking, name)
		p.mu.Unlock()
		if err == nil {
			_, err = p.start(rec, nil)
		}
		if err != nil && ctx.Err() == nil {
			p.log().Info("asking whether others have a newer record", "name", name.String(), "error", err)
			p.retryLater(name, p.now())
		}
	})
}

// newest returns the record of a name after the network was asked for it.
func (p *Publisher) newest(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if _, err := p.search(ctx, name); err != nil {
		return nil, err
	}
	for range enterTries {
		e, err := p.Book.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		e, err = p.Book.Confirm(ctx, e)
		if !errors.Is(err, recordstore.ErrConflict) {
			return e.Record, err
		}
	}
	return nil, recordstore.ErrConflict
}
