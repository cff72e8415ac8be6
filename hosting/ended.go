package hosting

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/republisher"
)

// ended is a name that its tenant has removed. Its entry stays in the Book, so that nothing older is ever
// published under it.
type ended struct {
	Tenant string
	At     time.Time
}

// RemoveCustodial removes a name of a tenant, and its key for ever. What was published last stays valid until
// its EOL.
func (h *Host) RemoveCustodial(ctx context.Context, c Caller, label string) error {
	if err := h.custodian(c, label); err != nil {
		return err
	}
	h.custody.Lock() // else the label could get another key, which would be removed
	defer h.custody.Unlock()
	v, err := h.Custodial(ctx, c.Tenant, label)
	if err != nil {
		return err
	}
	// Each step is done before the next, so that a crash leaves a key that is not used at worst.
	err = change(ctx, h.Rows, endedTable, v.Name, func(ended, bool) (*ended, error) {
		return &ended{c.Tenant, h.now().UTC()}, nil
	})
	if err == nil {
		err = h.DropCustodial(ctx, c, label)
	}
	if err == nil {
		_, err = h.Keys.Remove(keyLabel(c.Tenant, label))
	}
	if err != nil && !errors.Is(err, keystore.ErrNotFound) {
		return fmt.Errorf("remove %s: %w", v.Name, err)
	}
	return nil
}

// Signer returns the signer of a name for its renewals: of a name that its tenant has stopped, or that is
// denied, the error is [republisher.ErrStopped].
func (h *Host) Signer(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
	key, err := h.Keys.Of(name)
	if tenant, label, ok := tenantOf(key.Label); err == nil && ok {
		v, err := h.Custodial(ctx, tenant, label)
		switch {
		case errors.Is(err, recordstore.ErrNotFound) || err == nil && v.Stopped:
			return nil, republisher.ErrStopped
		case err != nil:
			return nil, err
		}
		if err := h.DeniedName(ctx, name); err != nil {
			return nil, fmt.Errorf("%w: %w", republisher.ErrStopped, err)
		}
	}
	if errors.Is(err, keystore.ErrNotFound) {
		if _, _, err := read[ended](ctx, h.Rows, endedTable, name.String()); err == nil {
			return nil, republisher.ErrStopped
		}
	}
	return h.Keys.Signer(ctx, name)
}
