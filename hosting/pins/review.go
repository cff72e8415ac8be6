package pins

import (
	"context"
	"errors"
	"maps"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/content"
)

// review brings requests and pins into line: after a crash, and when the operator has removed a pin that a
// tenant needs.
func (p *Pins) review(ctx context.Context) {
	if !p.reviewing.CompareAndSwap(false, true) {
		return // the last one is not over
	}
	defer p.reviewing.Store(false)
	defer p.rouse()
	if err := p.compare(ctx); err != nil && ctx.Err() == nil {
		p.log().Warn("pins of tenants not looked through", "err", err, "again_in", reviewPeriod)
	}
}

func (p *Pins) compare(ctx context.Context) error {
	p.mu.Lock()
	for _, j := range p.later {
		p.enqueue(j.tenant, j.id)
	}
	p.later = nil
	p.mu.Unlock()
	have := map[cid.Cid]bool{}
	for pin, err := range p.Content.Pins(ctx, content.Recursive) {
		if err != nil {
			return err
		}
		have[pin.CID] = true
		p.mu.Lock()
		if strings.HasPrefix(pin.Name, pinPrefix) && p.refs[pin.CID] == 0 {
			p.loose[pin.CID] = true
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	gone := maps.Clone(p.known) // what stays in it
	p.mu.Unlock()
	var lost, found []*entry
	for r, err := range p.Rows.Range(ctx, table, "", "") {
		if err != nil {
			return err
		}
		e, err := entryOf(r)
		if err != nil {
			return err
		}
		if !p.mine(e) {
			continue
		}
		if _, known := gone[e.key()]; !known {
			found = append(found, e)
		}
		delete(gone, e.key())
		if p.Shared && e.Daemon == "" && e.Status == Pinned {
			if e, err = p.claim(ctx, e); errors.Is(err, errGone) {
				continue // its content is elsewhere
			} else if err != nil {
				return err
			}
		}
		if c, err := cid.Decode(e.CID); err == nil && e.Status == Pinned && !have[c] {
			lost = append(lost, e)
		}
	}
	p.agree(ctx, gone, found)
	// Nothing of them is gone: they are among the Roots.
	for _, e := range lost {
		c, _ := cid.Decode(e.CID)
		if err := p.restore(ctx, e, c); err != nil && ctx.Err() == nil {
			p.log().Warn("content of a tenant can't be pinned again", "tenant", e.tenant, "cid", c, "err", err)
		}
	}
	return nil
}

// restore pins again what a request keeps.
func (p *Pins) restore(ctx context.Context, e *entry, c cid.Cid) error {
	defer p.hold(c)()
	if _, err := p.read(ctx, e.tenant, e.id); err != nil {
		return nil // removed meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, pinTime)
	defer cancel()
	return p.pinFor(ctx, c, e.tenant)
}
