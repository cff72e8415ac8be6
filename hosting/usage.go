package hosting

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

// usage is what tenants have. It follows from the entries of the Book and from the custody
// table: it is counted when the Host begins, and kept right by what the Book says.
type usage struct {
	mu       sync.Mutex
	counting sync.Mutex // held while the entries are counted
	counted  bool
	stop     func()             // of the subscription
	gone     map[ipns.Name]bool // forgotten while the entries are counted
	names    map[ipns.Name]held
	tenants  map[string]*Usage
	reserved map[string]*Usage // by puts that are going on
	total    int
	changes  uint64
}

// held is what is known of one hosted name.
type held struct {
	tenant *Usage
	size   int32
	eol    int64  // unix seconds
	number uint64 // of the change that said so
}

// Usage is what a tenant has.
type Usage struct {
	Tenant    string `json:",omitempty"` // "": the operator
	Names     int    // hosted, signed elsewhere
	Bytes     int64  // of their records
	Custodial int    // whose keys are kept here
}

// of returns the usage of a tenant, to be changed. Call with mu held.
func of(m map[string]*Usage, tenant string) *Usage {
	if m[tenant] == nil {
		m[tenant] = &Usage{Tenant: tenant}
	}
	return m[tenant]
}

// Count counts what tenants have, if that was not done yet. Everything that needs it calls
// it; Run does at once.
func (h *Host) Count(ctx context.Context) error {
	u := &h.usage
	u.counting.Lock()
	defer u.counting.Unlock()
	u.mu.Lock()
	if u.counted {
		u.mu.Unlock()
		return nil
	}
	if u.stop != nil {
		u.stop() // of a count that failed
	}
	u.names, u.tenants, u.total = map[ipns.Name]held{}, map[string]*Usage{}, 0
	u.gone = map[ipns.Name]bool{}
	if u.reserved == nil {
		u.reserved = map[string]*Usage{}
	}
	u.mu.Unlock()
	stop := h.Book.Subscribe(func(c names.Change) { u.changed(c.Entry) })
	u.mu.Lock()
	u.stop = stop
	u.mu.Unlock()
	for e, err := range h.Book.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			return fmt.Errorf("count what tenants have: %w", err)
		}
		u.mu.Lock()
		gone := u.gone[e.Name]
		u.mu.Unlock()
		if gone {
			if e, err = h.Book.Get(ctx, e.Name); err != nil {
				continue // it is still gone
			}
		}
		u.mu.Lock()
		if _, known := u.names[e.Name]; !known {
			u.set(e)
		}
		u.mu.Unlock()
	}
	for c, err := range all[Custodial](ctx, h.Rows, custodyTable, "", "") {
		if err != nil {
			return fmt.Errorf("count what tenants have: %w", err)
		}
		u.mu.Lock()
		of(u.tenants, c.Tenant).Custodial++
		u.mu.Unlock()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gone, u.counted = nil, true
	return nil
}

// changed is called by the Book.
func (u *usage) changed(e recordstore.Entry) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.set(e)
}

// set replaces what is known of a name. Call with mu held.
func (u *usage) set(e recordstore.Entry) {
	u.drop(e.Name)
	if e.Origin != recordstore.Hosted || e.Record == nil {
		return
	}
	t := of(u.tenants, e.Tenant)
	size := len(e.Record.Raw())
	t.Names++
	t.Bytes += int64(size)
	u.total++
	u.changes++
	u.names[e.Name] = held{t, int32(size), e.Record.EOL().Unix(), u.changes}
}

// drop forgets a name. Call with mu held.
func (u *usage) drop(name ipns.Name) {
	n, ok := u.names[name]
	if !ok {
		return
	}
	delete(u.names, name)
	n.tenant.Names--
	n.tenant.Bytes -= int64(n.size)
	u.total--
	u.clear(n.tenant)
}

// clear forgets a tenant that has nothing. Call with mu held.
func (u *usage) clear(t *Usage) {
	if t.Names == 0 && t.Custodial == 0 && u.tenants[t.Tenant] == t {
		delete(u.tenants, t.Tenant)
	}
}

// Forgotten must be called when the Book has forgotten a name: see names.Book.Forgotten.
func (h *Host) Forgotten(ctx context.Context, name ipns.Name) {
	u := &h.usage
	u.mu.Lock()
	if u.gone != nil {
		u.gone[name] = true
	}
	before, known := u.names[name]
	u.mu.Unlock()
	if !known {
		return
	}
	// It may have been put again meanwhile: then the Book says so. The store is not asked under
	// the lock, for which the Book waits.
	if _, err := h.Book.Get(ctx, name); !errors.Is(err, recordstore.ErrNotFound) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.names[name] == before {
		u.drop(name)
	}
}

// Usage returns what a tenant has.
func (h *Host) Usage(ctx context.Context, tenant string) (Usage, error) {
	if err := h.Count(ctx); err != nil {
		return Usage{}, err
	}
	u := &h.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	if t := u.tenants[tenant]; t != nil {
		return *t, nil
	}
	return Usage{Tenant: tenant}, nil
}

// Usages returns what all tenants have that have something.
func (h *Host) Usages(ctx context.Context) ([]Usage, error) {
	if err := h.Count(ctx); err != nil {
		return nil, err
	}
	u := &h.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	var list []Usage
	for _, t := range u.tenants {
		list = append(list, *t)
	}
	return list, nil
}

// retryQuota is when it is worth to try again after a quota was met: names end, or the
// operator gives more.
const retryQuota = time.Hour

// reserve counts a record of a name, or a name whose key is kept here if it is zero, of a
// tenant before it is stored, or refuses it. release must be called when it is stored or has failed.
func (h *Host) reserve(ctx context.Context, tenant string, name ipns.Name, size int) (release func(), err error) {
	if err := h.Count(ctx); err != nil {
		return nil, err
	}
	q, err := h.QuotaOf(ctx, tenant)
	if err != nil {
		return nil, err
	}
	s := h.Settings()
	if err := h.countOthers(ctx, tenant, q, size); err != nil {
		return nil, err
	}
	u := &h.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	more, bytes := 1, int64(size)
	n, here := u.names[name]
	if here {
		if n.tenant.Tenant == tenant {
			more = 0
			bytes -= int64(n.size)
		} else if tenant == "" || n.tenant.Tenant == "" || IsAnonymous(tenant) {
			return func() {}, nil // it stays whose it is
		}
	}
	has, going := of(u.tenants, tenant), of(u.reserved, tenant)
	defer u.clear(has)
	defer u.settle(going)
	limited := tenant != ""
	switch {
	case !here && u.total >= s.MaxNames:
		return nil, refuseFor(retryQuota, OverQuota, "this node hosts %d names, which is its limit", u.total)
	case limited && more > 0 && has.Names+has.Custodial+going.Names >= q.Names:
		return nil, refuseFor(retryQuota, OverQuota, "%s has or is about to have %d names, which is its quota", who(tenant), q.Names)
	case limited && bytes > 0 && has.Bytes+going.Bytes+bytes > q.Bytes:
		return nil, refuseFor(retryQuota, OverQuota, "%s has records of %d bytes, and its quota is %d", who(tenant), has.Bytes, q.Bytes)
	}
	going.Names += more
	going.Bytes += max(bytes, 0)
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		going.Names -= more
		going.Bytes -= max(bytes, 0)
		u.settle(going)
	}, nil
}

// slack is how far below its quota what a tenant has must be for a put to be counted without
// asking what other daemons have just taken.
const slack = 16

// countOthers has what other daemons took of a tenant be counted, if it is near its quota. What
// they are about to take is not: of puts to several daemons at one time, each may take a few.
func (h *Host) countOthers(ctx context.Context, tenant string, q Quota, size int) error {
	if tenant == "" || !h.Book.Shared() {
		return nil
	}
	u := &h.usage
	u.mu.Lock()
	var has Usage
	if t := u.tenants[tenant]; t != nil {
		has = *t
	}
	u.mu.Unlock()
	if has.Names+has.Custodial+slack < q.Names && has.Bytes+slack*int64(max(size, bytesPerName)) < q.Bytes {
		return nil
	}
	if err := h.Book.CatchUp(ctx); err != nil {
		return err
	}
	// Keys that are kept are rows, whose changes nobody tells of.
	custodial := 0
	for _, err := range h.Rows.Range(ctx, custodyTable, tenant+"/", tenant+"0") { // '0' follows '/'
		if err != nil {
			return fmt.Errorf("count what tenants have: %w", err)
		}
		custodial++
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	t := of(u.tenants, tenant)
	t.Custodial = custodial
	u.clear(t)
	return nil
}

// settle forgets what a tenant has reserved if that is nothing. Call with mu held.
func (u *usage) settle(going *Usage) {
	if going.Names == 0 && going.Bytes == 0 && u.reserved[going.Tenant] == going {
		delete(u.reserved, going.Tenant)
	}
}

func who(tenant string) string {
	if IsAnonymous(tenant) {
		return "this address"
	}
	return "the tenant " + tenant
}
