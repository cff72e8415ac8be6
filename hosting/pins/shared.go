package pins

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/recordstore"
)

// mine reports whether a request is not that of another daemon.
func (p *Pins) mine(e *entry) bool {
	return !p.Shared || e.Daemon == "" || e.Daemon == p.Self.String()
}

// claim returns a request as one of this daemon, or errGone if it is that of another. One without a daemon
// comes from a repo that had its rows for itself: who has its content takes it, or anybody if there is none.
func (p *Pins) claim(ctx context.Context, e *entry) (*entry, error) {
	switch {
	case !p.mine(e):
		return nil, errGone
	case !p.Shared || e.Daemon != "":
		return e, nil
	}
	kept := e.Before
	if e.Status == Pinned {
		kept = e.CID
	}
	if c, err := cid.Decode(kept); err == nil {
		switch _, err := p.Content.PinOf(ctx, c, content.Recursive); {
		case errors.Is(err, content.ErrNotPinned):
			return nil, errGone
		case err != nil:
			return nil, err
		}
	}
	own := *e
	own.Daemon = p.Self.String()
	stored, err := p.store(ctx, &own)
	if errors.Is(err, recordstore.ErrConflict) {
		return nil, errGone // another has it now, or it was removed
	}
	return stored, err
}

// agree brings what is counted into line with rows: some that were counted are gone, since another daemon has
// removed or claimed them, and some were found that were stored though their Add has failed.
func (p *Pins) agree(ctx context.Context, gone map[string]counted, found []*entry) {
	p.mu.Lock()
	for key, was := range gone {
		if was.stored {
			p.uncount(key)
		}
	}
	p.mu.Unlock()
	for _, e := range found {
		e, err := p.read(ctx, e.tenant, e.id)
		if err != nil || !p.mine(e) {
			continue // removed meanwhile, or found by the next review
		}
		p.mu.Lock()
		if _, known := p.known[e.key()]; !known {
			p.count1(e)
			if e.Status == Queued {
				p.enqueue(e.tenant, e.id)
			}
		}
		p.mu.Unlock()
	}
}

// others returns what other daemons have of a tenant. What they are about to pin is not counted: together
// they may pin more than its limit, by what each of them fetches at that time.
func (p *Pins) others(ctx context.Context, tenant string) (requests int, bytes uint64, err error) {
	if !p.Shared {
		return 0, 0, nil
	}
	for e, err := range p.all(ctx, tenant) {
		if err != nil {
			return 0, 0, fmt.Errorf("count the pins of tenant %s: %w", tenant, err)
		}
		if !p.mine(e) {
			requests++
			bytes += e.bytes()
		}
	}
	return requests, bytes, nil
}
