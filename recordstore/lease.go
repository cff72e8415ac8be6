package recordstore

import (
	"context"
	"time"
)

// Lease gives one of several processes the right to look after a region of the key
// space for some time. The zero Lease means none; a publish needs only the key.
//
// A Lease does not say when it ends, for clocks differ: the holder counts from before it
// asked, see [Leaser].
type Lease struct {
	Region Region
	Holder string // one process, from its start to its end
	Epoch  uint64 // increases whenever the region is given out again
}

// Leased is how it stands with a region.
type Leased struct {
	Lease               // Holder "": it was released
	Left  time.Duration // until it ended, when the store answered; 0 or less: it has ended
}

// Leaser gives leases. A store used by one process needs none. Implementations pass
// recordstoretest.RunLeases.
//
// All regions leased must be of one size: leases of regions that overlap do not know of
// each other.
type Leaser interface {
	// Lease leases regions to a holder, or extends the leases that it has, and returns
	// those that it has then: another holder has the rest. The epoch of a lease that is
	// extended stays; after it has ended the same holder gets a higher one too.
	//
	// The store ends a lease ttl after it got the request, by its own clock. So whoever
	// counts ttl from before the call, by a clock that nobody sets, stops in time. After
	// an error, the leases may have been given or not.
	Lease(ctx context.Context, holder string, ttl time.Duration, regions ...Region) ([]Lease, error)

	// Release ends leases before their time. It passes over those that are not current.
	Release(ctx context.Context, leases ...Lease) error

	// Leases returns the regions that were ever leased, in the order of the key space.
	Leases(ctx context.Context) ([]Leased, error)
}

// Limits of a lease.
const (
	MaxLease  = time.Minute // a region has no holder for so long after one that vanished
	MaxHolder = 200         // bytes
)

// Shared is a Store to which several processes write.
type Shared interface {
	Store

	// Behind reports whether a name was swapped after a position, also if Changes yields it
	// later only. It has readers of Changes look at once. A position of another generation,
	// or one that the store has not reached, gives ErrGap.
	Behind(ctx context.Context, at Position) (bool, error)

	// Answered returns when the store has last answered, and why it did not when it was
	// asked after that; nil: it did. It does not ask.
	Answered() (at time.Time, err error)
}
