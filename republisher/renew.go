package republisher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

const (
	maxRenewals  = 16_384           // renewals in one plan; the others wait for the next
	signers      = 64               // concurrent renewals
	signLimit    = 30 * time.Second // timeout of a signer
	firstUnsign  = 5 * time.Minute  // first delay after a failed renewal; it doubles each time
	lastUnsign   = 4 * time.Hour    // longest delay after a failed renewal
	maxUnsigned  = 65_536           // bounds Republisher.unsigned
	renewRetries = 3                // attempts if the entry changes while it is renewed
)

// postponed is a failed renewal or question.
type postponed struct {
	again time.Time     // when it is tried next
	delay time.Duration // the delay before again
	why   error
	of    [32]byte // hash of the record that could not be renewed
}

// wrongClock is how long a renewal waits that a wrong clock prevents.
const wrongClock = 5 * time.Minute

// Clock tells whether the clock of this node agrees with those of others. A
// *publisher.Publisher is one.
type Clock interface {
	// CheckClock returns an error if the clock is too far off to sign.
	CheckClock() error
	// NeedsClocks reports whether the clocks of too few others are known.
	NeedsClocks() bool
	// AddClock adds what the clock of a server said just now; nil: nothing.
	AddClock(*routing.Clock)
}

// checkClock returns an error if the clock is too far off to sign, and logs it the
// first time.
func (r *Republisher) checkClock() error {
	if r.Clock == nil {
		return nil
	}
	err := r.Clock.CheckClock()
	r.mu.Lock()
	news := err != nil && !r.wrong
	r.wrong = err != nil
	r.mu.Unlock()
	if news {
		r.log().Error("no record is renewed until the clock is right", "error", err)
	}
	return err
}

// ErrStopped is the error of a signer whose name is not to be renewed any more: it ends, and is
// not at risk.
var ErrStopped = errors.New("it is no longer renewed, as its owner wants")

// errNoSigner says that a name cannot be renewed here.
var errNoSigner = errors.New("there is no key to renew it")

// renewal reports whether to renew an own record, and when. A record is renewed when it
// is about to be put and would be past half of its lifetime before the next put. So the
// network may be away for half a lifetime before the records on servers expire. Between
// turns it is renewed only below highTime. A renewal in progress is not repeated.
func (r *Republisher) renewal(w recordstore.Work, now time.Time, l lane) (time.Time, bool) {
	e := w.Entry
	if e.Origin != recordstore.Own || r.outlook(e).Signed {
		return time.Time{}, false
	}
	left, life := e.Record.EOL().Sub(now), r.lifetime(e)
	if l == laneNone && left >= highTime(life) {
		return e.Record.EOL().Add(1 - highTime(life)), true
	}
	if left >= r.renewBelow(life) {
		return time.Time{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, going := r.renewing[e.Name]
	return r.unsigned[e.Name].again, !going
}

// unsignable returns why the last renewal of an entry's record failed, or nil. It forgets the
// failures of a record that was replaced.
func (r *Republisher) unsignable(e recordstore.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	u, failed := r.unsigned[e.Name]
	if failed && u.of != e.Record.Hash() {
		delete(r.unsigned, e.Name)
		return nil
	}
	return u.why
}

// renewBelow returns the remaining lifetime below which a record that is about to be put
// is renewed.
func (r *Republisher) renewBelow(life time.Duration) time.Duration {
	return min(life/2+r.ownPeriod()*5/4, life*3/4)
}

// highTime returns the remaining lifetime below which a renewal does not wait for its
// sector's turn.
func highTime(life time.Duration) time.Duration { return life * 3 / 8 }

// renewAndNote renews a name and notes how that went. standby says that others look after its
// sector.
func (r *Republisher) renewAndNote(ctx context.Context, name ipns.Name, standby bool) {
	err := r.renew(ctx, name, standby)
	if ctx.Err() != nil || errors.Is(err, recordstore.ErrLease) {
		return
	}
	var of [32]byte
	if e, gerr := r.Book.Get(ctx, name); err != nil && gerr == nil && e.Record != nil {
		of = e.Record.Hash()
	}
	r.mu.Lock()
	if err == nil {
		r.counts.renewed++
		delete(r.unsigned, name)
		if _, known := r.probed[name]; known {
			r.answered(name)
		}
		r.mu.Unlock()
		return
	}
	if errors.Is(err, ErrStopped) || errors.Is(err, ErrElsewhere) {
		if _, known := r.unsigned[name]; known || len(r.unsigned) < maxUnsigned {
			r.unsigned[name] = postponed{delay: lastUnsign, again: r.now().Add(lastUnsign), why: err, of: of}
		}
		r.mu.Unlock()
		return
	}
	r.counts.renewalsFailed++
	u := postponed{delay: min(max(2*r.unsigned[name].delay, firstUnsign), lastUnsign), why: err, of: of}
	u.again = r.now().Add(u.delay)
	if _, known := r.unsigned[name]; known || len(r.unsigned) < maxUnsigned {
		r.unsigned[name] = u
	}
	r.counts.failed(err)
	r.mu.Unlock()
	r.log().Warn("a record could not be renewed", "name", name.String(), "error", err)
	if standby {
		return // its upkeep is for the holder of its sector
	}
	kept, err2 := r.Book.Upkeep(ctx, name)
	if err2 == nil {
		kept.LastErr = err.Error()
		err2 = r.Book.Note(ctx, kept)
	}
	if err2 != nil {
		r.log().Error("noting a failed renewal", "name", name.String(), "error", err2)
	}
}

// renew renews the current record of the name if that is still due. A publish that comes
// in between wins.
func (r *Republisher) renew(ctx context.Context, name ipns.Name, standby bool) error {
	for range renewRetries {
		lease, held := r.lease(sectorOf(name))
		if !standby && !held {
			return recordstore.ErrLease
		}
		e, err := r.Book.Get(ctx, name)
		if err != nil {
			return fmt.Errorf("renew %s: %w", name, err)
		}
		if e.Record == nil || e.Record.EOL().Sub(r.now()) >= r.renewBelow(r.lifetime(e)) {
			return nil // already renewed
		}
		rec, err := r.sign(ctx, e)
		if err == nil && !standby {
			// The lease may have ended meanwhile, and another may sign now.
			if now, _ := r.lease(sectorOf(name)); now != lease {
				return recordstore.ErrLease
			}
		} else {
			lease = recordstore.Lease{}
		}
		if err == nil {
			err = r.enterRenewal(ctx, e, rec, lease)
		}
		if err == nil && !standby {
			err = r.noteRenewed(ctx, rec)
		}
		if !errors.Is(err, recordstore.ErrConflict) {
			return err
		}
	}
	return nil // it keeps changing; the next scan finds it again
}

// signerError is the error of a signer, or of looking for one.
type signerError struct{ error }

func (e signerError) Unwrap() error { return e.error }

// sign signs the record of an entry again, changing only the EOL. If the clock is wrong, the
// error is that of the Clock.
func (r *Republisher) sign(ctx context.Context, e recordstore.Entry) (*ipns.Record, error) {
	if r.Signers == nil {
		return nil, fmt.Errorf("renew %s: %w", e.Name, errNoSigner)
	}
	if err := r.checkClock(); err != nil {
		return nil, fmt.Errorf("renew %s: %w", e.Name, err)
	}
	eol := r.now().Add(r.lifetime(e)).UTC()
	if !eol.After(e.Record.EOL()) {
		return nil, fmt.Errorf("renew %s: its EOL %v is later than %v, which a renewal would have", e.Name, e.Record.EOL(), eol)
	}
	ctx, cancel := context.WithTimeout(ctx, signLimit)
	defer cancel()
	signer, err := r.Signers(ctx, e.Name)
	if err != nil {
		return nil, fmt.Errorf("renew %s: %w", e.Name, signerError{err})
	}
	rec, err := ipns.Renew(ctx, signer, e.Record, eol)
	if err != nil {
		return nil, fmt.Errorf("renew %s: %w", e.Name, signerError{err})
	}
	return rec, nil
}

// enterRenewal enters the renewal of an entry's record into the Book, while the lease of its
// sector is current if one is given. If the entry has changed since it was read, the error is
// recordstore.ErrConflict, so that no publish is overtaken; if the last sequence is not
// known, it is names.ErrUnknownSequence.
func (r *Republisher) enterRenewal(ctx context.Context, e recordstore.Entry, rec *ipns.Record, lease recordstore.Lease) error {
	e.Span = r.lifetime(e)
	outcome, err := r.Book.Enter(ctx, e, rec, names.Entrance{Origin: recordstore.Own, Lease: lease})
	if err == nil && outcome != names.New {
		err = fmt.Errorf("its renewal was judged %v", outcome)
	}
	if err != nil {
		return fmt.Errorf("renew %s: %w", e.Name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.signed[e.Name]; known || len(r.signed) < maxRenewals {
		r.signed[e.Name] = rec.Hash()
	}
	return nil
}

// Renew renews the record of an entry that was read earlier.
func (r *Republisher) Renew(ctx context.Context, e recordstore.Entry) (*ipns.Record, error) {
	r.init()
	rec, err := r.sign(ctx, e)
	if err == nil {
		err = r.enterRenewal(ctx, e, rec, recordstore.Lease{})
	}
	if err != nil {
		return nil, err
	}
	return rec, nil
}
