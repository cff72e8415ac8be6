package hosting

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// recountEvery is how often all is counted again if other daemons share the names: that they
// forget one, or make a key, nobody is told.
const recountEvery = 15 * time.Minute

// recount counts again, until ctx ends.
func (h *Host) recount(ctx context.Context) error {
	every := time.NewTicker(recountEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-every.C:
		}
		err := h.Count(ctx) // the first one may have failed
		if err == nil {
			err = h.countAgain(ctx)
		}
		if err != nil && ctx.Err() == nil {
			h.log().Warn("what tenants have is not counted again now", "err", err, "again_in", recountEvery)
		}
	}
}

// countAgain brings what is counted into line with the entries. Puts go on by what was counted
// before: they do not wait for all entries to be read.
func (h *Host) countAgain(ctx context.Context) error {
	u := &h.usage
	u.mu.Lock()
	gone := maps.Clone(u.names) // what stays in it
	u.mu.Unlock()
	for e, err := range h.Book.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			return fmt.Errorf("count what tenants have: %w", err)
		}
		if e.Origin != recordstore.Hosted || e.Record == nil {
			continue
		}
		if _, known := gone[e.Name]; known {
			delete(gone, e.Name)
		} else if err := h.look(ctx, e.Name); err != nil {
			return err
		}
	}
	for name := range gone {
		if err := h.look(ctx, name); err != nil {
			return err
		}
	}
	custodial := map[string]int{}
	for c, err := range all[Custodial](ctx, h.Rows, custodyTable, "", "") {
		if err != nil {
			return fmt.Errorf("count what tenants have: %w", err)
		}
		custodial[c.Tenant]++
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for tenant := range custodial {
		of(u.tenants, tenant)
	}
	for tenant, t := range maps.Clone(u.tenants) {
		t.Custodial = custodial[tenant]
		u.clear(t)
	}
	return nil
}

// look counts one name as it is now, unless that changes meanwhile.
func (h *Host) look(ctx context.Context, name ipns.Name) error {
	u := &h.usage
	u.mu.Lock()
	before := u.names[name]
	u.mu.Unlock()
	e, err := h.Book.Get(ctx, name)
	switch {
	case errors.Is(err, recordstore.ErrNotFound):
		e = recordstore.Entry{Name: name}
	case err != nil:
		return fmt.Errorf("count what tenants have: %w", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.names[name] == before {
		u.set(e)
	}
	return nil
}
