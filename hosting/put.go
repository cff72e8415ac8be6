package hosting

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
)

// findCurrent bounds how long a newer record is searched for whoever puts an older one.
const findCurrent = 10 * time.Second

// Taken is a record that was put.
type Taken struct {
	Record  *ipns.Record
	Outcome names.Outcome
	Warning string // such as that the record does not last long; "": none
}

// Put takes a record of a name for a caller. When it returns without an error, the record
// and its line in the audit log are durable. All its errors are a [Refusal]: see [Of].
func (h *Host) Put(ctx context.Context, c Caller, name ipns.Name, raw []byte) (Taken, error) {
	taken, err := h.put(ctx, c, name, raw)
	if err != nil {
		err = settle(err)
	}
	return taken, h.count(c.Tenant, err)
}

// settle makes a Refusal of an error.
func settle(err error) error {
	r := Of(err)
	switch {
	case r.Why != Failed:
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		r = refuseFor(retryPut, Busy, "the put was given up: %w", err)
	}
	return r
}

func (h *Host) put(ctx context.Context, c Caller, name ipns.Name, raw []byte) (Taken, error) {
	if err := h.allowed(ctx, c, name); err != nil {
		return Taken{}, err
	}
	end, err := h.Begin(ctx, c)
	if err != nil {
		return Taken{}, err
	}
	end = sync.OnceFunc(end)
	defer end()
	e, err := h.Book.Get(ctx, name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return Taken{}, err
	}
	// What is here already costs no more than to read it.
	if e.Origin == recordstore.Hosted && e.Record != nil && bytes.Equal(e.Record.Raw(), raw) && !e.Record.Expired(h.now()) {
		warning, err := h.lasts(e.Record)
		return Taken{Record: e.Record, Outcome: names.Same, Warning: warning}, err
	}
	rec, err := h.open(name, raw)
	if err != nil {
		return Taken{}, err
	}
	taken := Taken{Record: rec}
	if taken.Warning, err = h.lasts(rec); err != nil {
		return Taken{}, err
	}
	fresh, err := h.judge(c, e, rec)
	if err != nil {
		return Taken{}, err
	}
	release, err := h.reserve(ctx, c.Tenant, name, len(raw))
	if err != nil {
		return Taken{}, err
	}
	taken.Outcome, err = h.take(ctx, c, rec, fresh)
	release()
	if err != nil {
		return Taken{}, err
	}
	if taken.Outcome != names.Same {
		h.announce.add(c.Tenant, name)
	}
	return taken, nil
}

// take enters a record into the Book, and into the audit log if it is fresh. The line comes
// first: a crash in between leaves a line about a record that nobody was told is kept, and
// never a record of which the log does not say who put it.
func (h *Host) take(ctx context.Context, c Caller, rec *ipns.Record, fresh bool) (names.Outcome, error) {
	line := c.line("put", rec.Name())
	line.Sequence, line.Value = rec.Sequence(), rec.Value()
	if fresh {
		if err := h.Audit(ctx, line); err != nil {
			return 0, err
		}
	}
	outcome, err := h.Book.Take(ctx, rec, names.Entrance{
		Origin: recordstore.Hosted, Tenant: c.Tenant, Claim: c.Tenant != "" && !IsAnonymous(c.Tenant),
	})
	if err == nil && (outcome == names.Older || outcome == names.Fork) {
		// A newer one came meanwhile, or the mark of a name that was seen is above it.
		err = h.outdated(ctx, rec, outcome)
	}
	if err != nil && fresh {
		line.What = "put-failed"
		err = errors.Join(err, h.Audit(ctx, line))
	}
	return outcome, err
}

// allowed refuses a put that neither the token nor the policy allows.
func (h *Host) allowed(ctx context.Context, c Caller, name ipns.Name) error {
	s := h.Settings()
	switch {
	case c.Operator:
	case c.Tenant == "" || s.Policy == Off:
		return refuse(Forbidden, "this node hosts no names of others")
	case !IsAnonymous(c.Tenant):
		if !c.MayPut(name) {
			return refuse(Forbidden, "the token does not allow to put records of %s", name)
		}
		if err := h.denied(ctx, "tenant:"+c.Tenant); err != nil {
			return err
		}
	case s.Policy == Allow && !s.Allow[name]:
		return refuse(Unauthorized, "%s is not on the list of names for which no token is needed", name)
	case s.Policy != Allow && s.Policy != Open:
		return refuse(Unauthorized, "a token is needed")
	default:
		if err := h.denied(ctx, "tenant:"+c.Tenant); err != nil {
			return err
		}
	}
	return h.DeniedName(ctx, name)
}

// Begin waits for a turn of the caller's tenant: tenants take turns, however much one of
// them puts. It refuses whoever exceeds the rates of the tenant or the address. end must be
// called when what is to be done is done.
func (h *Host) Begin(ctx context.Context, c Caller) (end func(), err error) {
	if !c.Operator {
		q, err := h.QuotaOf(ctx, c.Tenant)
		if err != nil {
			return nil, err
		}
		// A tenant with a token counts as such, wherever its puts come from: many may share
		// an address. This machine is one address: a proxy may send what comes from there.
		if wait := h.rates.wait(h.now(), "tenant:"+c.Tenant, q.PutsPerMinute, true); wait > 0 {
			return nil, refuseFor(wait, TooMany, "too many puts by %s: %d a minute are allowed", who(c.Tenant), q.PutsPerMinute)
		}
	}
	return h.queue.enter(ctx, c.Tenant)
}

// open verifies a record.
func (h *Host) open(name ipns.Name, raw []byte) (*ipns.Record, error) {
	rec, err := h.Opener.Open(name, raw)
	switch {
	case err == nil:
		return rec, nil
	case errors.Is(err, ipns.ErrExpired):
		return nil, refuse(Expired, "%w", err)
	case errors.Is(err, ipns.ErrKeyMismatch), errors.Is(err, ipns.ErrSignature):
		return nil, refuse(WrongName, "the key of %s did not sign the record: %w", name, err)
	}
	return nil, refuse(Invalid, "%w", err)
}

// lasts returns a warning about a record that does not last long, or refuses it.
func (h *Host) lasts(rec *ipns.Record) (warning string, err error) {
	s := h.Settings()
	left := rec.EOL().Sub(h.now())
	if left >= s.MinRemaining {
		return "", nil
	}
	text := fmt.Sprintf("the record is valid for %s only: it cannot be renewed here, put a newer one before that",
		max(left, 0).Round(time.Second))
	if s.RefuseShort {
		return "", refuse(ShortLived, "%s; this node takes none with less than %s left", text, s.MinRemaining)
	}
	return text, nil
}

// judge compares a record with what is kept, so that one that changes nothing is neither
// limited nor logged. fresh is false for one that is kept already.
func (h *Host) judge(c Caller, e recordstore.Entry, rec *ipns.Record) (fresh bool, err error) {
	switch {
	case e.Origin == recordstore.Own:
		return false, refuse(Forbidden, "%s is a name of this node itself", rec.Name())
	case e.Record != nil && e.Record.Hash() == rec.Hash():
		return false, nil
	case e.Record != nil && ipns.Compare(e.Record, rec) > 0:
		return false, &Refusal{Why: Outdated, Current: e.Record, Err: outdatedError(e.Record, rec)}
	}
	if !c.Operator {
		if wait := h.rates.wait(h.now(), "name:"+rec.Name().String(), namePuts, true); wait > 0 {
			return false, refuseFor(wait, TooMany, "too many records of %s: %d a minute are allowed", rec.Name(), namePuts)
		}
	}
	return true, nil
}

func outdatedError(current, rec *ipns.Record) error {
	if current == nil {
		return errors.New("a newer record of the name was seen")
	}
	return fmt.Errorf("a newer record exists: it has sequence %d, this one %d", current.Sequence(), rec.Sequence())
}

// outdated returns the Refusal of a record that the Book holds to be older; nil if it is not.
func (h *Host) outdated(ctx context.Context, rec *ipns.Record, outcome names.Outcome) error {
	e, err := h.Book.Get(ctx, rec.Name())
	current := e.Record
	switch {
	case err == nil && current != nil:
	case err != nil && !errors.Is(err, recordstore.ErrNotFound):
		return err
	case h.Resolver != nil:
		ctx, cancel := context.WithTimeout(ctx, findCurrent)
		defer cancel()
		if hop, err := h.Resolver.Lookup(ctx, rec.Name(), resolver.Options{}); err == nil {
			current = hop.Record
		}
	}
	if current != nil && ipns.Compare(current, rec) <= 0 {
		if current = nil; outcome == names.Fork {
			return nil // it is the greater of the two
		}
	}
	return &Refusal{Why: Outdated, Current: current, Err: outdatedError(current, rec)}
}

// ErrOthers means that a name belongs to another tenant.
var ErrOthers = errors.New("the name belongs to another tenant")

// Remove stops keeping a hosted name, and returns what was kept. It returns
// recordstore.ErrNotFound if the name is not hosted, and a Refusal if it is of another tenant.
func (h *Host) Remove(ctx context.Context, c Caller, name ipns.Name) (recordstore.Entry, error) {
	for logged := false; ; {
		e, err := h.Book.Get(ctx, name)
		if err == nil && e.Origin != recordstore.Hosted {
			err = recordstore.ErrNotFound
		}
		if err != nil {
			return e, fmt.Errorf("remove %s: %w", name, err)
		}
		if e.Tenant != c.Tenant && (!c.Operator || c.Tenant != "") {
			return e, &Refusal{Why: Forbidden, Err: fmt.Errorf("remove %s: %w", name, ErrOthers)}
		}
		if !logged { // first: what was removed cannot be removed again by whom a crash has stopped
			line := c.line("remove", name)
			line.Tenant = e.Tenant
			if err := h.Audit(ctx, line); err != nil {
				return e, err
			}
			logged = true
		}
		err = h.Book.Forget(ctx, e, recordstore.Lease{})
		if errors.Is(err, recordstore.ErrConflict) {
			continue
		}
		if err != nil {
			return e, fmt.Errorf("remove: %w", err)
		}
		return e, nil
	}
}
