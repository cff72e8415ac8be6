package pins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/recordstore"
)

// Run fetches and pins what is queued, and lets go what nobody needs, until ctx ends and what it has begun
// has ended.
func (p *Pins) Run(ctx context.Context) error {
	var jobs sync.WaitGroup
	defer jobs.Wait()
	review := time.NewTicker(reviewPeriod)
	defer review.Stop()
	jobs.Go(func() { p.review(ctx) })
	for {
		if loose := p.takeLoose(); len(loose) > 0 {
			jobs.Go(func() { p.letGo(ctx, loose) })
		}
		for j := range p.next() {
			jobs.Go(func() { p.work(ctx, j) })
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
		case <-review.C:
			jobs.Go(func() { p.review(ctx) })
		}
	}
}

// job is a request whose turn has come.
type job struct{ tenant, id string }

// next yields the requests to begin with now: tenants take turns.
func (p *Pins) next() func(func(job) bool) {
	return func(yield func(job) bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for passed := 0; p.busy < fetches && passed < len(p.turns); {
			tenant := p.turns[0]
			a := p.tenants[tenant]
			p.turns = p.turns[1:]
			if a.fetching >= fetchesPerTenant {
				p.turns = append(p.turns, tenant)
				passed++
				continue
			}
			j := job{tenant, a.queue[0]}
			if a.queue = a.queue[1:]; len(a.queue) > 0 {
				p.turns = append(p.turns, tenant)
			}
			a.fetching++
			p.busy++
			passed = 0
			if !yield(j) {
				return
			}
		}
	}
}

// work brings one request to its end.
func (p *Pins) work(ctx context.Context, j job) {
	defer func() {
		p.mu.Lock()
		p.tenants[j.tenant].fetching--
		p.busy--
		p.mu.Unlock()
		p.rouse()
	}()
	e, err := p.read(ctx, j.tenant, j.id)
	if err == nil {
		e, err = p.claim(ctx, e)
	}
	if err == nil {
		err = p.fulfil(ctx, e)
	}
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, errGone), ctx.Err() != nil:
	default:
		p.log().Warn("a pin of a tenant has to wait", "tenant", j.tenant, "pin", j.id, "err", err, "again_in", reviewPeriod)
		p.mu.Lock()
		p.later = append(p.later, j)
		p.mu.Unlock()
	}
}

// unstored reports whether an error is one of the rows, which says nothing of the content.
func unstored(err error) bool {
	return slices.ContainsFunc([]error{
		recordstore.ErrFull, recordstore.ErrClosed, recordstore.ErrAway, recordstore.ErrReadOnly, recordstore.ErrDoubt,
	}, func(is error) bool { return errors.Is(err, is) })
}

// fulfil fetches and pins what a request asks for, and stores how that went. Its error is one of this node:
// the request stays as it is.
func (p *Pins) fulfil(parent context.Context, e *entry) error {
	if e.Status != Queued { // it was stored in doubt
		p.mu.Lock()
		defer p.mu.Unlock()
		if _, known := p.known[e.key()]; known {
			p.count1(e)
		}
		return nil
	}
	c, err := cid.Decode(e.CID)
	if err != nil {
		return p.settle(parent, e, func(r *row) { r.Status, r.Why = Failed, err.Error() })
	}
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	p.mu.Lock()
	p.running[e.key()] = stop
	origins := p.origins[e.key()]
	delete(p.origins, e.key())
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.running, e.key())
		p.mu.Unlock()
	}()
	limit, err := p.Limit(ctx, e.tenant)
	if err != nil {
		return err
	}
	_, others, err := p.others(ctx, e.tenant)
	if err != nil {
		return err
	}
	limit -= min(limit, others)
	size, err := p.fetch(ctx, stop, e, c, limit, origins)
	if err == nil {
		err = p.keep(ctx, e, c, size, limit)
	}
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		return nil
	case parent.Err() != nil, errors.Is(cause, errGone):
		return cause
	case unstored(err):
		return err
	case cause != nil:
		err = cause
	}
	return p.settle(parent, e, func(r *row) { r.Status, r.Why = Failed, err.Error() })
}

// errStalled means that nobody gives content.
var errStalled = fmt.Errorf("no block came for %s: is the content on a node that can be reached?", stalled)

func tooMuch(limit uint64) error {
	return fmt.Errorf("%w: it may keep %d bytes, and this is more than is left", ErrQuota, limit)
}

// fetch fetches a tree within the limit of the tenant, and returns its size.
func (p *Pins) fetch(ctx context.Context, stop context.CancelCauseFunc, e *entry, c cid.Cid, limit uint64, origins []peer.AddrInfo) (uint64, error) {
	tracked, seen := content.Track(ctx)
	var watching sync.WaitGroup
	over := make(chan struct{})
	defer watching.Wait()
	defer close(over)
	counted := uint64(0)
	count := func(now uint64) (within bool) { // what has come counts at once, for fetches beside this one too
		p.mu.Lock()
		defer p.mu.Unlock()
		a := p.tenants[e.tenant]
		a.coming += now - counted
		counted = now
		return a.bytes-e.bytes()+a.coming <= limit
	}
	watching.Go(func() {
		defer func() { count(0) }()
		tick := time.NewTicker(glance)
		defer tick.Stop()
		blocks, since := 0, time.Now()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			n, bytes := seen()
			if n != blocks {
				blocks, since = n, time.Now()
			}
			if !count(bytes) {
				stop(tooMuch(limit))
			}
			if time.Since(since) > stalled {
				stop(errStalled)
			}
		}
	})
	dialing, dialed := context.WithCancel(ctx) // who has the content need not be reached once it is here
	defer dialed()
	if p.Host != nil {
		for _, o := range origins {
			watching.Go(func() {
				ctx, cancel := context.WithTimeout(dialing, connectTime)
				defer cancel()
				if err := p.Host.Connect(ctx, o); err != nil && ctx.Err() == nil {
					p.log().Debug("an origin of a pin can't be reached", "tenant", e.tenant, "peer", o.ID, "err", err)
				}
			})
		}
	}
	if err := p.Content.Fetch(tracked, c); err != nil {
		return 0, err
	}
	_, bytes := seen()
	if !count(bytes) {
		return 0, tooMuch(limit)
	}
	return bytes, nil
}

// keep pins a tree that was fetched, and stores that. A crash in between leaves a pin whose request is still
// queued.
func (p *Pins) keep(ctx context.Context, e *entry, c cid.Cid, size, limit uint64) error {
	p.mu.Lock()
	a := p.tenants[e.tenant]
	fits := size <= limit-min(limit, a.bytes-e.bytes()+a.keeping)
	if fits {
		a.keeping += size
		e.keeping = size
	}
	p.mu.Unlock()
	if !fits { // another request of the tenant was faster
		return tooMuch(limit)
	}
	defer func() {
		p.mu.Lock()
		p.kept(e)
		p.mu.Unlock()
	}()
	defer p.hold(c)()
	ctx, cancel := context.WithTimeout(ctx, pinTime)
	defer cancel()
	if err := p.pinFor(ctx, c, e.tenant); err != nil {
		return err
	}
	return p.settle(ctx, e, func(r *row) {
		r.Status, r.Why, r.Size = Pinned, "", size
		r.Replaces, r.Before, r.BeforeSize = "", "", 0
	})
}

// kept counts an entry out of what is being pinned. Call with mu held.
func (p *Pins) kept(e *entry) {
	p.tenants[e.tenant].keeping -= e.keeping
	e.keeping = 0
}

// settle stores how a request has ended, unless it was removed: what was pinned for it is then let go.
func (p *Pins) settle(ctx context.Context, e *entry, change func(*row)) error {
	next := *e
	next.keeping = 0
	change(&next.row)
	stored, err := p.store(ctx, &next)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(err, recordstore.ErrConflict): // removed
		if c, err := cid.Decode(e.CID); err == nil && p.refs[c] == 0 {
			p.loose[c] = true
		}
		return errGone
	case err != nil:
		return err
	}
	p.kept(e)
	if _, known := p.known[e.key()]; known { // else it was removed meanwhile
		p.count1(stored)
	}
	return nil
}

// takeLoose returns trees that lost a request, each once.
func (p *Pins) takeLoose() map[cid.Cid]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	loose := p.loose
	p.loose = map[cid.Cid]bool{}
	return loose
}

// letGo removes the pins of trees that no request needs any more.
func (p *Pins) letGo(ctx context.Context, loose map[cid.Cid]bool) {
	for c := range loose {
		if err := p.unpin(ctx, c); err != nil && ctx.Err() == nil {
			p.log().Warn("content that no tenant needs stays until the next look", "cid", c, "err", err)
		}
	}
}
