package hosting

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Denial is a name or a tenant that is not hosted.
type Denial struct {
	What   string // "name" or "tenant"
	Which  string
	Reason string `json:",omitempty"`
	Since  time.Time
}

// denialKey returns the key of a name, or of a tenant, on the deny list.
func denialKey(which string) (key, what, spelled string, err error) {
	if name, err := ipns.ParseName(which); err == nil {
		return "name:" + name.String(), "name", name.String(), nil
	}
	tenant := strings.TrimPrefix(which, "tenant:")
	if !IsAnonymous(tenant) {
		if err := CheckTenant(tenant); err != nil {
			return "", "", "", fmt.Errorf("%.80q is neither a name nor a tenant", which)
		}
	}
	return "tenant:" + tenant, "tenant", tenant, nil
}

// Deny puts a name or a tenant on the deny list. A name is then no longer kept; the names of
// a tenant are, until they are removed.
func (h *Host) Deny(ctx context.Context, which, reason string) (Denial, error) {
	key, what, spelled, err := denialKey(which)
	if err != nil {
		return Denial{}, err
	}
	d := Denial{What: what, Which: spelled, Reason: reason, Since: h.now().UTC()}
	err = change(ctx, h.Rows, denyTable, key, func(Denial, bool) (*Denial, error) { return &d, nil })
	if err == nil {
		err = h.Audit(ctx, lineOf(d, "deny"))
	}
	if err == nil && what == "name" {
		name, _ := ipns.ParseName(spelled)
		if _, err = h.Remove(ctx, Operator(""), name); errors.Is(err, recordstore.ErrNotFound) {
			err = nil
		}
	}
	if err != nil {
		return d, fmt.Errorf("deny %s: %w", spelled, err)
	}
	return d, nil
}

func lineOf(d Denial, what string) Line {
	l := Line{What: what}
	if d.What == "name" {
		l.Name = d.Which
	} else {
		l.Tenant = d.Which
	}
	return l
}

// Undeny takes a name or a tenant off the deny list, and reports whether it was on it.
func (h *Host) Undeny(ctx context.Context, which string) (bool, error) {
	key, what, spelled, err := denialKey(which)
	if err != nil {
		return false, err
	}
	was := false
	err = change(ctx, h.Rows, denyTable, key, func(_ Denial, had bool) (*Denial, error) {
		was = had
		return nil, nil
	})
	if err == nil && was {
		err = h.Audit(ctx, lineOf(Denial{What: what, Which: spelled}, "undeny"))
	}
	if err != nil {
		return was, fmt.Errorf("take %s off the deny list: %w", spelled, err)
	}
	return was, nil
}

// Denials returns the deny list.
func (h *Host) Denials(ctx context.Context) ([]Denial, error) {
	var list []Denial
	for d, err := range all[Denial](ctx, h.Rows, denyTable, "", "") {
		if err != nil {
			return nil, fmt.Errorf("deny list: %w", err)
		}
		list = append(list, d)
	}
	return list, nil
}

// DeniedName returns a Refusal if a name is on the deny list.
func (h *Host) DeniedName(ctx context.Context, name ipns.Name) error {
	return h.denied(ctx, "name:"+name.String())
}

func (h *Host) denied(ctx context.Context, key string) error {
	d, _, err := read[Denial](ctx, h.Rows, denyTable, key)
	switch {
	case errors.Is(err, recordstore.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("deny list: %w", err)
	}
	text := ""
	if d.Reason != "" {
		text = ": " + d.Reason
	}
	return refuse(Denied, "this node does not host the %s %s%s", d.What, d.Which, text)
}
