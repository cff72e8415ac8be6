package hosting

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goipns/ipns/recordstore"
)

// Quota is what a tenant may have. Fields that are 0 have a default.
type Quota struct {
	Names         int   `json:",omitempty"`
	PutsPerMinute int   `json:",omitempty"`
	Bytes         int64 `json:",omitempty"` // of records
	PinnedBytes   int64 `json:",omitempty"` // of content; 0: none may be kept
}

// Quotas for which nothing else was said.
var (
	DefaultTenant  = Quota{Names: 1000, PutsPerMinute: 600}
	DefaultAddress = Quota{Names: 100, PutsPerMinute: 30}
)

// bytesPerName is what a name may have of Quota.Bytes if nothing else was said: ten times
// what a usual record has.
const bytesPerName = 4 << 10

// or returns q with the fields of zero where q has none.
func (q Quota) or(zero Quota) Quota {
	return Quota{
		Names: or(q.Names, zero.Names), PutsPerMinute: or(q.PutsPerMinute, zero.PutsPerMinute),
		Bytes: or(q.Bytes, zero.Bytes), PinnedBytes: or(q.PinnedBytes, zero.PinnedBytes),
	}
}

// Tenant is somebody who has names here.
type Tenant struct {
	Name    string
	Quota   Quota // with defaults, where Host returns it
	Created time.Time
}

const (
	maxTenantName = 64
	// addressTenant begins the tenant of all who come from one address without a token.
	addressTenant = "@"
)

// CheckTenant checks that a text can be the name of a tenant.
func CheckTenant(name string) error {
	ok := name != "" && len(name) <= maxTenantName && !strings.ContainsAny(name[:1], "._-")
	for _, c := range name {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c))
	}
	if !ok {
		return fmt.Errorf("tenant %.80q: a name has up to %d characters a-z, 0-9, '.', '_' and '-', and begins with one of the first two", name, maxTenantName)
	}
	return nil
}

// IsAnonymous reports whether a tenant of an entry is an address, not a tenant with tokens.
func IsAnonymous(tenant string) bool { return strings.HasPrefix(tenant, addressTenant) }

// ErrNoTenant means that there is no tenant with a name.
var ErrNoTenant = errors.New("no such tenant")

// Tenant returns a tenant, or ErrNoTenant.
func (h *Host) Tenant(ctx context.Context, name string) (Tenant, error) {
	t, _, err := read[Tenant](ctx, h.Rows, tenantTable, name)
	if errors.Is(err, recordstore.ErrNotFound) {
		return Tenant{}, fmt.Errorf("tenant %q: %w", name, ErrNoTenant)
	}
	t.Quota = t.Quota.or(h.Settings().Tenant).whole()
	return t, err
}

// Tenants returns all tenants, by name.
func (h *Host) Tenants(ctx context.Context) ([]Tenant, error) {
	var list []Tenant
	for t, err := range all[Tenant](ctx, h.Rows, tenantTable, "", "") {
		if err != nil {
			return nil, fmt.Errorf("tenants: %w", err)
		}
		t.Quota = t.Quota.or(h.Settings().Tenant).whole()
		list = append(list, t)
	}
	return list, nil
}

// SetTenant makes a tenant, or changes its quota: fields that are 0 stay.
func (h *Host) SetTenant(ctx context.Context, name string, q Quota) error {
	if err := CheckTenant(name); err != nil {
		return err
	}
	err := change(ctx, h.Rows, tenantTable, name, func(t Tenant, had bool) (*Tenant, error) {
		if !had {
			t = Tenant{Name: name, Created: h.now().UTC()}
		}
		t.Quota = q.or(t.Quota)
		return &t, nil
	})
	if err != nil {
		return fmt.Errorf("set tenant %s: %w", name, err)
	}
	return nil
}

// QuotaOf returns what a tenant, or an address, may have.
func (h *Host) QuotaOf(ctx context.Context, tenant string) (q Quota, err error) {
	if IsAnonymous(tenant) {
		q = h.Settings().Address
	} else {
		var t Tenant
		t, err = h.Tenant(ctx, tenant)
		if q = t.Quota; errors.Is(err, ErrNoTenant) {
			q, err = h.Settings().Tenant, nil
		}
	}
	return q.whole(), err
}

// whole returns q with its Bytes.
func (q Quota) whole() Quota {
	q.Bytes = or(q.Bytes, int64(q.Names)*bytesPerName)
	return q
}

// PinLimit returns how many bytes of content a tenant may keep here; 0: none.
func (h *Host) PinLimit(ctx context.Context, tenant string) (uint64, error) {
	q, err := h.QuotaOf(ctx, tenant)
	return uint64(max(q.PinnedBytes, 0)), err
}

// IsTenantKey reports whether a key with a label of the Keyring is kept for a tenant.
func IsTenantKey(label string) bool {
	_, _, ok := tenantOf(label)
	return ok
}
