package recordstore

import (
	"context"
	"time"
)

// Lease gives one of several processes the right to look after a region of the key
// space for some time. The zero Lease means none; a publish needs only the key.
type Lease struct {
	Region Region
	Holder string
	Epoch  uint64 // increases with each lease of the region
	Until  time.Time
}

// Leaser gives leases. A store used by one process needs none; the PostgreSQL store,
// shared by several daemons, will be the first implementation.
type Leaser interface {
	// Lease leases a region to the holder, or extends the holder's lease. It returns
	// ErrLease if another holder has the region.
	Lease(ctx context.Context, region Region, holder string, ttl time.Duration) (Lease, error)

	// Release ends a lease before it expires.
	Release(ctx context.Context, lease Lease) error
}
