package republisher

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// Leases are the sectors that this process looks after, where several share a store. Names
// of other sectors are neither put nor scanned for that. A *cluster.Member is one.
//
// A record is renewed by whoever holds its sector, if the key is there. If not, another
// process with the key renews it, without a lease, when it is so late that the holder must
// have failed to: the version of the entry lets one renewal enter. The holder puts it.
type Leases interface {
	// Held returns the lease of a sector, if this process has it now.
	Held(recordstore.Region) (recordstore.Lease, bool)
	// Under returns a context for work in a sector, which ends with its lease, and a function
	// to call when the work is over.
	Under(context.Context, recordstore.Region) (ctx context.Context, done func())
	// Changed returns a channel that receives a value after sectors were gained or lost.
	Changed() <-chan struct{}
}

// ErrElsewhere is the error of Signers for a name whose key is not here and may be with
// another process that shares the store: that one renews it.
var ErrElsewhere = errors.New("its key is not on this daemon: one that has it must renew it")

// Elsewhere returns signers whose error is ErrElsewhere where that of others is missing.
func Elsewhere(others func(context.Context, ipns.Name) (ipns.Signer, error), missing error) func(context.Context, ipns.Name) (ipns.Signer, error) {
	return func(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
		s, err := others(ctx, name)
		if errors.Is(err, missing) {
			err = fmt.Errorf("%w: %w", ErrElsewhere, err)
		}
		return s, err
	}
}

// lease returns the lease of a sector, and whether this process looks after it.
func (r *Republisher) lease(sector int) (recordstore.Lease, bool) {
	if r.Leases == nil {
		return recordstore.Lease{}, true
	}
	return r.Leases.Held(regionOf(sector))
}

// under returns a context for work in a sector, which ends with its lease.
func (r *Republisher) under(ctx context.Context, sector int) (_ context.Context, done func()) {
	r.mu.Lock()
	r.working[sector]++
	r.mu.Unlock()
	over := func() {
		r.mu.Lock()
		r.working[sector]--
		r.mu.Unlock()
	}
	if r.Leases == nil {
		return ctx, over
	}
	ctx, end := r.Leases.Under(ctx, regionOf(sector))
	return ctx, func() { end(); over() }
}

// changedLeases returns a channel that receives a value after sectors were gained or lost.
func (r *Republisher) changedLeases() <-chan struct{} {
	if r.Leases == nil {
		return nil
	}
	return r.Leases.Changed()
}

// stopped reports whether work under ctx was stopped from outside. What ran out of time was
// not.
func stopped(ctx context.Context) bool {
	err := routing.Allowed(ctx)
	return err != nil && !errors.Is(err, context.DeadlineExceeded)
}

// lostLease reports whether work under ctx was stopped because its sector has another holder,
// or none.
func lostLease(ctx context.Context) bool {
	err := routing.Allowed(ctx)
	return errors.Is(err, recordstore.ErrLease) || errors.Is(err, routing.ErrNotHeld)
}

// standbyBelow returns the remaining lifetime below which a record of a sector that others
// look after is renewed: they have had a sixteenth of its lifetime to do it.
func standbyBelow(life time.Duration) time.Duration { return highTime(life) - life/16 }

// standbyAgain is after what time a sector of others is scanned again in which a record was
// to be renewed.
const standbyAgain = 10 * time.Minute

// scanOthers scans a sector that others look after, for records that nobody renews.
func (r *Republisher) scanOthers(ctx context.Context, sector int) (sectorScan, error) {
	v := sectorScan{at: r.now()}
	for e, err := range r.Book.Scan(ctx, regionOf(sector)) {
		if err != nil {
			return sectorScan{}, err
		}
		if e.Origin != recordstore.Own || e.Record == nil || r.Signers == nil {
			continue
		}
		below := standbyBelow(r.lifetime(e))
		if left := e.Record.EOL().Sub(v.at); left >= below {
			v.wake(e.Record.EOL().Add(1 - below))
			continue
		}
		r.mu.Lock()
		_, going := r.renewing[e.Name]
		r.mu.Unlock()
		r.unsignable(e) // forgets failures with another record
		if at := r.retriesAt(e.Name); at.After(v.at) {
			v.wake(at)
			continue
		}
		if going || len(v.renew) >= maxRenewals || r.outlook(e).Signed || !r.mayRenew(ctx, e) || r.checkClock() != nil {
			continue // the next scan looks again
		}
		v.renew = append(v.renew, e.Name)
	}
	return v, nil
}

// retriesAt returns when a renewal that failed is tried again.
func (r *Republisher) retriesAt(name ipns.Name) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unsigned[name].again
}

// renewedNote is the LastErr of a name whose record was renewed by the holder of its sector
// and is to be put: if another daemon takes over in between, it does not wait for a publisher.
func renewedNote(rec *ipns.Record) string {
	hash := rec.Hash()
	return "renewed as " + hex.EncodeToString(hash[:8]) + ", and not announced yet"
}

// noteRenewed stores that a record was renewed and is to be put.
func (r *Republisher) noteRenewed(ctx context.Context, rec *ipns.Record) error {
	if r.Leases == nil {
		return nil // r.signed says it
	}
	u, err := r.Book.Upkeep(ctx, rec.Name())
	if err != nil {
		return err
	}
	u.LastErr = renewedNote(rec)
	return r.Book.Note(ctx, u)
}
