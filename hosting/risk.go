package hosting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

const (
	riskEvery   = 10 * time.Minute // between two looks at what comes near its EOL
	warnAtOnce  = 64               // warnings on their way, which share disk writes
	maxRisks    = 10_000           // names at risk that are listed
	warnedGrace = 24 * time.Hour   // after the EOL, for which a warning is remembered
)

// Risk is a hosted name near the EOL of its record, which cannot be renewed without its key.
type Risk struct {
	Name     ipns.Name
	Tenant   string
	Sequence uint64
	EOL      time.Time
}

// risks are the figures of the last look.
type risks struct {
	mu    sync.Mutex
	names map[string]int // at risk, by tenant
	total int
}

// AtRisk returns how many hosted names came near their EOL, by tenant, when they were last
// looked at.
func (h *Host) AtRisk() (byTenant map[string]int, total int) {
	h.risks.mu.Lock()
	defer h.risks.mu.Unlock()
	return h.risks.names, h.risks.total
}

// IsAtRisk reports whether a hosted record is near its EOL.
func (h *Host) IsAtRisk(rec *ipns.Record) bool {
	return rec.EOL().Sub(h.now()) < h.Settings().Warn
}

// Risks returns the hosted names near their EOL, the most urgent first.
func (h *Host) Risks(ctx context.Context) ([]Risk, error) {
	if err := h.Count(ctx); err != nil {
		return nil, err
	}
	until := h.now().Add(h.Settings().Warn).Unix()
	byTenant, total := map[string]int{}, 0
	var list []Risk
	u := &h.usage
	u.mu.Lock()
	for name, n := range u.names {
		if n.eol >= until {
			continue
		}
		byTenant[n.tenant.Tenant]++
		total++
		list = append(list, Risk{Name: name, Tenant: n.tenant.Tenant, EOL: time.Unix(n.eol, 0).UTC()})
		if len(list) >= 2*maxRisks {
			list = mostUrgent(list)
		}
	}
	u.mu.Unlock()
	h.risks.mu.Lock()
	h.risks.names, h.risks.total = byTenant, total
	h.risks.mu.Unlock()
	return mostUrgent(list), nil
}

func mostUrgent(list []Risk) []Risk {
	slices.SortFunc(list, func(a, b Risk) int {
		return cmp.Or(a.EOL.Compare(b.EOL), cmp.Compare(a.Name.String(), b.Name.String()))
	})
	return slices.Clip(list[:min(len(list), maxRisks)])
}

// watchRisks looks for names near their EOL until ctx ends.
func (h *Host) watchRisks(ctx context.Context) {
	for {
		if err := h.warn(ctx); err != nil && ctx.Err() == nil {
			h.log().Warn("looking for hosted names near their EOL", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(riskEvery):
		}
	}
}

// warned is what was said about a name.
type warned struct {
	EOL time.Time // of the record that it was said about
}

// warn warns once of each record near its EOL.
func (h *Host) warn(ctx context.Context) error {
	list, err := h.Risks(ctx)
	if err != nil {
		return err
	}
	if h.Warned == nil {
		return nil
	}
	var g errgroup.Group
	g.SetLimit(warnAtOnce)
	for _, r := range list {
		if h.Holds != nil && !h.Holds(r.Name) {
			continue
		}
		g.Go(func() error { return h.warnOf(ctx, r.Name) })
	}
	return errors.Join(g.Wait(), h.forgetWarned(ctx))
}

func (h *Host) warnOf(ctx context.Context, name ipns.Name) error {
	e, err := h.Book.Get(ctx, name)
	if errors.Is(err, recordstore.ErrNotFound) || err == nil && (e.Record == nil || e.Origin != recordstore.Hosted || !h.IsAtRisk(e.Record)) {
		return nil // it was removed or put again meanwhile
	}
	if err != nil {
		return err
	}
	eol := e.Record.EOL()
	was, _, err := read[warned](ctx, h.Rows, warnedTable, name.String())
	if err == nil && was.EOL.Equal(eol) {
		return nil
	}
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return err
	}
	// A crash after this and before the row is stored warns again.
	if err := h.Warned(ctx, Risk{Name: name, Tenant: e.Tenant, Sequence: e.Record.Sequence(), EOL: eol}); err != nil {
		return fmt.Errorf("warn of %s: %w", name, err)
	}
	return change(ctx, h.Rows, warnedTable, name.String(), func(warned, bool) (*warned, error) { return &warned{EOL: eol}, nil })
}

// forgetWarned forgets warnings about records that ended some time ago.
func (h *Host) forgetWarned(ctx context.Context) error {
	for r, err := range h.Rows.Range(ctx, warnedTable, "", "") {
		if err != nil {
			return err
		}
		v, _, err := read[warned](ctx, h.Rows, warnedTable, r.Key)
		if err != nil || h.now().Sub(v.EOL) < warnedGrace {
			continue
		}
		r.Value = nil
		if _, err := h.Rows.Swap(ctx, r); err != nil && !errors.Is(err, recordstore.ErrConflict) {
			return err
		}
	}
	return nil
}
