package publisher

import (
	"context"
	"errors"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// tick is how often Run looks for due retries.
const tick = time.Second

// maxResumeSearches is how many names are searched after a start. The others are left
// to a republisher, which checks many names with one visit to each server.
const maxResumeSearches = 64

// Where several processes share the store, an interrupted publish is resumed resumeAfter
// its last change by the one that looks after the name, and by another that has its key
// resumeLate after it.
const (
	resumeEvery = time.Hour
	resumeAfter = 10 * time.Minute
	resumeLate  = 2 * time.Hour
)

// Run works in the background until ctx ends: it announces records that a crash left
// unannounced, and names that have too few holders. For entries of a restored store it
// first searches for newer records. When ctx ends, it stops running announcements and
// waits for them. Keeping announced records alive is the work of a republisher.
func (p *Publisher) Run(ctx context.Context) error {
	p.init()
	defer func() {
		over, cancel := context.WithCancel(ctx)
		cancel()
		p.Close(over)
	}()
	resume := func() {
		if err := p.resume(ctx); err != nil && ctx.Err() == nil {
			p.log().Error("looking for records to announce", "error", err)
		}
	}
	next := p.now().Add(resumeAfter)
	if p.Resumes == nil {
		resume()
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
		if now := p.now(); p.Resumes != nil && !now.Before(next) {
			next = now.Add(resumeEvery)
			resume()
		}
	}
}

// others reports whether an entry is left to other processes that share the store.
func (p *Publisher) others(ctx context.Context, e recordstore.Entry) bool {
	if p.Resumes == nil {
		return false
	}
	wait := resumeAfter
	if !p.Resumes(e.Name) {
		wait = resumeLate
	}
	if e.Pending == nil || p.now().Sub(e.Changed) < wait || p.Signers == nil {
		return true
	}
	_, err := p.Signers(ctx, e.Name)
	return errors.Is(err, ErrNoSigner)
}

// Stats are current figures, for metrics.
type Stats struct {
	Announcing int // announcements running or waiting
	Retrying   int // names with too few holders
}

// Stats returns the current figures.
func (p *Publisher) Stats() Stats {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Announcing: len(p.announce), Retrying: len(p.retries)}
}

// resume announces own records without a receipt: the process ended between storing
// and announcing them, or their upkeep was lost.
func (p *Publisher) resume(ctx context.Context) error {
	searches := 0
	for e, err := range p.Book.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			return err
		}
		if e.Origin != recordstore.Own || e.Record == nil || e.Record.Expired(p.now()) && e.Pending == nil {
			continue
		}
		if p.others(ctx, e) {
			continue
		}
		u, err := p.Book.Upkeep(ctx, e.Name)
		if err != nil {
			return err
		}
		if u.Announced == e.Record.Hash() && u.LastErr == "" && e.Pending == nil {
			continue
		}
		current, err := p.Book.Current(ctx, e)
		switch {
		case err != nil:
			return err
		case current:
			p.proceed(ctx, e) // if too many are waiting, retryDue does it
		case searches < maxResumeSearches:
			searches++
			p.ask(ctx, e.Name)
		}
	}
	return nil
}

// retryDue announces the names whose retry is due.
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
			break // the others would fail too
		}
		if err != nil {
			p.log().Error("announcing again", "name", name.String(), "error", err)
		}
	}
}

// again announces the name's current record.
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
		err = p.proceed(ctx, e)
	} else if err == nil {
		p.ask(ctx, name)
	}
	return err
}

// ask searches for a newer record of a name, then announces the newest. If the search
// fails, Run retries it.
func (p *Publisher) ask(ctx context.Context, name ipns.Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.asking[name] {
		return
	}
	p.asking[name] = true
	p.running.Go(func() {
		e, err := p.newest(ctx, name)
		p.mu.Lock()
		delete(p.asking, name)
		p.mu.Unlock()
		if err == nil {
			err = p.proceed(ctx, e)
		}
		if err != nil && ctx.Err() == nil {
			p.log().Info("searching for a newer record", "name", name.String(), "error", err)
			p.retryLater(name, p.now())
		}
	})
}

// newest searches the network and returns the entry of a name with the newest record.
func (p *Publisher) newest(ctx context.Context, name ipns.Name) (e recordstore.Entry, err error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return e, ctx.Err()
	}
	if _, err := p.search(ctx, name, nil); err != nil {
		return e, err
	}
	for range enterTries {
		if e, err = p.Book.Get(ctx, name); err != nil {
			return e, err
		}
		e, err = p.Book.Confirm(ctx, e, recordstore.Lease{})
		if !errors.Is(err, recordstore.ErrConflict) {
			return e, err
		}
	}
	return e, recordstore.ErrConflict
}

// proceed announces the record of an entry, or goes on with a publish that was to rise
// above a rival when the process ended. A call of Publish for the name does it itself. To go
// on needs the signer, which may be elsewhere and slow, so it happens in the background.
func (p *Publisher) proceed(ctx context.Context, e recordstore.Entry) error {
	p.mu.Lock()
	called := p.calls[e.Name] > 0 // e was read before
	p.mu.Unlock()
	if called {
		return nil
	}
	if e.Pending == nil {
		_, err := p.start(e.Record, nil, nil)
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.asking[e.Name] {
		return nil
	}
	p.asking[e.Name] = true
	p.running.Go(func() {
		err := p.goOn(ctx, e)
		p.mu.Lock()
		delete(p.asking, e.Name)
		p.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			p.log().Error("going on with a publish", "name", e.Name.String(), "error", err)
			p.retryLater(e.Name, p.now())
		}
	})
	return nil
}

// goOn announces the pending record of an entry, or gives way to the rival if its key is gone.
func (p *Publisher) goOn(ctx context.Context, e recordstore.Entry) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	e, err := p.Book.Get(ctx, e.Name)
	if err != nil {
		return err
	}
	if e.Pending == nil { // a publish has superseded it meanwhile
		_, err := p.start(e.Record, nil, nil)
		return err
	}
	m, err := p.remake(ctx, e)
	if ctx.Err() != nil {
		return ctx.Err() // the next start goes on
	}
	if errors.Is(err, ErrNoSigner) {
		p.log().Warn("a publish that was interrupted gives way to that of another holder of the key",
			"value", e.Pending.Value(), "error", err)
		if err := p.Book.Pend(ctx, e.Name, nil); err != nil {
			return err
		}
		_, err = p.start(e.Record, nil, nil)
		return err
	}
	if err != nil { // a signer that is away, or a key that is locked, may come back
		return err
	}
	_, err = p.start(e.Pending, m, nil, m.above()...)
	return err
}
