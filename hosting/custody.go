package hosting

import (
	"context"
	"fmt"
	"time"

	"github.com/goipns/ipns"
)

// Custodial is a name of a tenant whose key is kept here.
type Custodial struct {
	Tenant  string
	Label   string // what the tenant calls it
	Name    string
	Created time.Time
}

func custodyKey(tenant, label string) string { return tenant + "/" + label }

// AddCustodial notes that the key of a name is kept here for the caller, within its quota.
// The key must be durable already. It does nothing else.
func (h *Host) AddCustodial(ctx context.Context, c Caller, label string, name ipns.Name) error {
	release, err := h.reserve(ctx, c.Tenant, ipns.Name{}, 0)
	if err != nil {
		return err
	}
	defer release()
	made := false
	err = change(ctx, h.Rows, custodyTable, custodyKey(c.Tenant, label), func(v Custodial, had bool) (*Custodial, error) {
		if had {
			return nil, refuse(Forbidden, "there is a name with the label %q already", label)
		}
		made = true
		return &Custodial{Tenant: c.Tenant, Label: label, Name: name.String(), Created: h.now().UTC()}, nil
	})
	if err != nil {
		return fmt.Errorf("keep the key of %s: %w", name, err)
	}
	if made {
		h.usage.mu.Lock()
		of(h.usage.tenants, c.Tenant).Custodial++
		h.usage.mu.Unlock()
	}
	return h.Audit(ctx, c.line("key-create", name))
}

// Custodial returns a name of a tenant by its label, or recordstore.ErrNotFound.
func (h *Host) Custodial(ctx context.Context, tenant, label string) (Custodial, error) {
	v, _, err := read[Custodial](ctx, h.Rows, custodyTable, custodyKey(tenant, label))
	return v, err
}

// Custodials returns the names of a tenant whose keys are kept here, by label.
func (h *Host) Custodials(ctx context.Context, tenant string) ([]Custodial, error) {
	var list []Custodial
	for v, err := range all[Custodial](ctx, h.Rows, custodyTable, tenant+"/", tenant+"0") { // 0 follows /
		if err != nil {
			return nil, fmt.Errorf("names of %s: %w", tenant, err)
		}
		list = append(list, v)
	}
	return list, nil
}

// DropCustodial notes that the key of a name is no longer kept here. The caller removes the
// key afterwards.
func (h *Host) DropCustodial(ctx context.Context, c Caller, label string) error {
	if err := h.Count(ctx); err != nil {
		return err
	}
	var was *Custodial
	err := change(ctx, h.Rows, custodyTable, custodyKey(c.Tenant, label), func(v Custodial, had bool) (*Custodial, error) {
		if was = nil; had {
			was = &v
		}
		return nil, nil
	})
	if err != nil || was == nil {
		return err
	}
	u := &h.usage
	u.mu.Lock()
	t := of(u.tenants, c.Tenant)
	t.Custodial--
	u.clear(t)
	u.mu.Unlock()
	name, err := ipns.ParseName(was.Name)
	if err != nil {
		return err
	}
	return h.Audit(ctx, c.line("key-remove", name))
}
