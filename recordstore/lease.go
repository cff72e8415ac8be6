package recordstore

import (
	"context"
	"time"
)

// Lease is the right of one of several processes to look after a part of the key
// space for some time. The zero Lease is none: that of a publish, which needs no
// right but the key.
type Lease struct {
	Region Region
	Holder string
	Epoch  uint64 // higher in each lease of the region than in those before
	Until  time.Time
}

// Leaser gives leases. A store that one process uses needs none; the store in
// PostgreSQL, which several daemons share, will be the first to implement it.
type Leaser interface {
	// Lease gives a region to the holder, or extends the lease that it has. ErrLease
	// says that somebody else has it.
	Lease(ctx context.Context, region Region, holder string, ttl time.Duration) (Lease, error)

	// Release ends a lease before its time.
	Release(ctx context.Context, lease Lease) error
}
