package hosting

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
)

const (
	importAtOnce  = 128 // puts of an import that are going on, most of which wait for the disk: others of its tenant have room in the queue
	progressEvery = time.Second
	maxImportErrs = 100 // refusals that are told one by one
)

// Imported is how far an import is. All numbers are sums.
type Imported struct {
	Read    int            // records
	Taken   int            // that are new here
	Same    int            // that were here already
	Warned  int            // of those taken, that do not last long
	Refused map[string]int `json:",omitempty"` // by Why
	// Refusals are those since the progress before; not all of them if they are many.
	Refusals []string `json:",omitempty"`
	Done     bool     // this is the last
}

// importing is an import that is going on.
type importing struct {
	h      *Host
	tenant string
	stop   context.CancelFunc // of what is not begun

	mu    sync.Mutex // guards all below
	sum   Imported
	told  int
	quota error // the refusal because of which it stopped
}

// Import puts the records of an export for tenants: each for the one that the export says,
// or all for one if tenant is not empty. It yields its progress each second and at the end.
//
// A record that is refused does not end it, but for one beyond a quota: then it ends with
// that error. What was taken is durable: the same import goes on where it ended, for what is
// here already takes no time.
func (h *Host) Import(ctx context.Context, r io.Reader, tenant string) iter.Seq2[Imported, error] {
	return func(yield func(Imported, error) bool) {
		if tenant != "" {
			if err := CheckTenant(tenant); err != nil {
				yield(Imported{}, err)
				return
			}
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		more, stop := context.WithCancel(ctx)
		defer stop()
		run := &importing{h: h, tenant: tenant, stop: stop, sum: Imported{Refused: map[string]int{}}}
		over := make(chan error, 1)
		var reading sync.WaitGroup
		defer reading.Wait()
		reading.Go(func() { over <- run.read(ctx, more, r) })
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case err := <-over:
				last := run.progress()
				last.Done = err == nil
				if yield(last, nil) && err != nil {
					yield(Imported{}, err)
				}
				return
			case <-tick.C:
				if !yield(run.progress(), nil) {
					cancel()
					return
				}
			}
		}
	}
}

// read puts the records until more ends, and returns when all that it has begun have ended.
func (i *importing) read(ctx, more context.Context, r io.Reader) error {
	var puts sync.WaitGroup
	places := make(chan struct{}, importAtOnce)
	var failed error
	for item, err := range Items(r) {
		if err != nil {
			failed = err
			break
		}
		select {
		case places <- struct{}{}:
		case <-more.Done():
		}
		if more.Err() != nil {
			break
		}
		puts.Go(func() {
			defer func() { <-places }()
			i.put(ctx, item)
		})
	}
	puts.Wait()
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.quota != nil && Of(i.quota).Why != OverQuota:
		return fmt.Errorf("%w; %d of the records read were taken or here already, and the same import goes on from there", i.quota, i.sum.Taken+i.sum.Same)
	case i.quota != nil:
		return fmt.Errorf("%w; %d of the records read were taken or here already. Give more by 'ipns host token create --tenant' or 'ipns host tenant set', and run the same import again: it goes on from there",
			i.quota, i.sum.Taken+i.sum.Same)
	case failed != nil:
		return failed
	}
	return ctx.Err()
}

func (i *importing) put(ctx context.Context, item Placed) {
	tenant := i.tenant
	if tenant == "" {
		tenant = item.Tenant
	}
	name, err := ipns.ParseName(item.Name)
	var taken Taken
	switch {
	case err != nil:
		err = refuse(Invalid, "%w", err)
	case tenant != "" && !IsAnonymous(tenant) && CheckTenant(tenant) != nil:
		err = refuse(Invalid, "%w", CheckTenant(tenant))
	default:
		taken, err = i.h.Put(ctx, Operator(tenant), name, item.Record)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sum.Read++
	switch {
	case err != nil:
		r := Of(err)
		i.sum.Refused[r.Why.String()]++
		if i.told++; i.told <= maxImportErrs {
			i.sum.Refusals = append(i.sum.Refusals, fmt.Sprintf("%s: %s: %s", item.Place, r.Why, r))
		}
		if (r.Why == OverQuota || r.Why == Busy || r.Why == Failed) && i.quota == nil {
			i.quota = fmt.Errorf("%s: %w", item.Place, err)
			i.stop()
		}
	case taken.Outcome == names.Same:
		i.sum.Same++
	default:
		i.sum.Taken++
		if taken.Warning != "" {
			i.sum.Warned++
		}
	}
}

// progress returns how far it is, with what was not told yet.
func (i *importing) progress() Imported {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.sum
	now.Refused = map[string]int{}
	for why, n := range i.sum.Refused {
		now.Refused[why] = n
	}
	i.sum.Refusals = nil
	return now
}

// RemoveTenant removes a tenant: its tokens first, then its names, and last itself, so that a
// crash in between leaves one that can be removed again. It returns how many names there
// were. Keys that are kept here for it stay until they are removed by their names.
func (h *Host) RemoveTenant(ctx context.Context, tenant string) (removed int, err error) {
	fail := func(err error) (int, error) { return removed, fmt.Errorf("remove tenant %s: %w", tenant, err) }
	if !IsAnonymous(tenant) {
		if err := CheckTenant(tenant); err != nil { // "" is the operator, whose tokens would be all
			return fail(err)
		}
	}
	tokens, err := h.Tokens(ctx, tenant)
	if err != nil {
		return fail(err)
	}
	has, err := h.Usage(ctx, tenant)
	if err != nil {
		return fail(err)
	}
	_, err = h.Tenant(ctx, tenant)
	if err != nil && len(tokens) == 0 && has.Names == 0 {
		return fail(err)
	}
	if has.Custodial > 0 {
		return fail(fmt.Errorf("keys of %d of its names are kept here: remove these names first", has.Custodial))
	}
	for _, t := range tokens {
		if err := h.dropToken(ctx, t); err != nil {
			return fail(err)
		}
	}
	for e, err := range h.Hosted(ctx, tenant, false) {
		if err != nil {
			return fail(err)
		}
		if _, err := h.Remove(ctx, Operator(tenant), e.Name); err != nil {
			return fail(err)
		}
		removed++
	}
	err = change(ctx, h.Rows, tenantTable, tenant, func(Tenant, bool) (*Tenant, error) { return nil, nil })
	if err == nil {
		err = h.Audit(ctx, Line{Tenant: tenant, What: "tenant-remove"})
	}
	if err != nil {
		return fail(err)
	}
	return removed, nil
}
