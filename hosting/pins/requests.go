package pins

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/recordstore"
)

// Add queues what a tenant asks for. It is durable when Add returns.
func (p *Pins) Add(ctx context.Context, tenant string, r Request) (Pin, error) {
	return p.add(ctx, tenant, r, nil)
}

// Replace asks for another tree in place of that of a request, which goes. Its content stays until the
// other is pinned, unless it is with another daemon.
func (p *Pins) Replace(ctx context.Context, tenant, id string, r Request) (Pin, error) {
	old, err := p.get(ctx, tenant, id)
	if err != nil {
		return Pin{}, err
	}
	pin, err := p.add(ctx, tenant, r, old)
	if err != nil {
		return Pin{}, err
	}
	// A crash here leaves both: Load removes the old one.
	if err := p.remove(ctx, tenant, id, true); err != nil && !errors.Is(err, ErrNotFound) {
		return Pin{}, err
	}
	return pin, nil
}

func (p *Pins) add(ctx context.Context, tenant string, r Request, old *entry) (Pin, error) {
	if err := r.check(); err != nil {
		return Pin{}, &RequestError{err}
	}
	limit, err := p.Limit(ctx, tenant)
	if err != nil {
		return Pin{}, err
	}
	if limit == 0 {
		return Pin{}, ErrNotAllowed
	}
	otherPins, otherBytes, err := p.others(ctx, tenant)
	if err != nil {
		return Pin{}, err
	}
	e := &entry{tenant: tenant, row: row{CID: r.CID.String(), Name: r.Name, Meta: r.Meta, Status: Queued}}
	if p.Shared {
		e.Daemon = p.Self.String()
	}
	if old != nil {
		e.Replaces = old.id
	}
	if old != nil && p.mine(old) {
		if e.Before, e.BeforeSize = old.CID, old.Size; old.Status != Pinned {
			e.Before, e.BeforeSize = old.Before, old.BeforeSize
		}
	}
	if err := p.admit(e, limit, old, otherPins, otherBytes); err != nil {
		return Pin{}, err
	}
	stored, err := p.store(ctx, e)
	p.mu.Lock()
	if err != nil { // in doubt it is stored, and is found at the next review
		p.uncount(e.key())
		p.mu.Unlock()
		return Pin{}, err
	}
	if _, known := p.known[e.key()]; known { // else it was removed meanwhile
		p.count1(stored)
		p.enqueue(tenant, stored.id)
		if len(r.Origins) > 0 {
			p.origins[stored.key()] = r.Origins
		}
	}
	p.mu.Unlock()
	p.rouse()
	return p.pin(stored), nil
}

// admit counts a request if there is room for it beside what other daemons have of the tenant, and gives it
// its time and id.
func (p *Pins) admit(e *entry, limit uint64, old *entry, otherPins int, otherBytes uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.of(e.tenant)
	have := a.requests + otherPins
	if old != nil {
		have--
	}
	switch {
	case have >= MaxPerTenant:
		return fmt.Errorf("%w: it has %d pins", ErrQuota, MaxPerTenant)
	case p.count >= MaxRequests:
		return fmt.Errorf("%w: this node has %d pins of tenants", ErrQuota, MaxRequests)
	case old == nil && a.bytes+otherBytes >= limit:
		return fmt.Errorf("%w: %d of %d bytes are pinned", ErrQuota, a.bytes+otherBytes, limit)
	}
	e.Created = max(p.now().UnixMilli(), a.last+1)
	e.id = newID(e.Created)
	p.count1(e)
	return nil
}

// RequestError says what is wrong with a request.
type RequestError struct{ Err error }

func (e *RequestError) Error() string { return e.Err.Error() }
func (e *RequestError) Unwrap() error { return e.Err }

// Get returns a request of a tenant, or ErrNotFound.
func (p *Pins) Get(ctx context.Context, tenant, id string) (Pin, error) {
	e, err := p.get(ctx, tenant, id)
	if err != nil {
		return Pin{}, err
	}
	return p.pin(e), nil
}

func (p *Pins) get(ctx context.Context, tenant, id string) (*entry, error) {
	if _, err := hex.DecodeString(id); err != nil || len(id) != 32 {
		return nil, ErrNotFound // no id that was ever given
	}
	return p.read(ctx, tenant, id)
}

// Remove removes a request. What it kept is let go if no other needs it.
func (p *Pins) Remove(ctx context.Context, tenant, id string) error {
	if _, err := p.get(ctx, tenant, id); err != nil {
		return err
	}
	return p.remove(ctx, tenant, id, true)
}

// removeTries bounds how often a remove meets a write of the same row.
const removeTries = 8

func (p *Pins) remove(ctx context.Context, tenant, id string, rouse bool) error {
	for range removeTries {
		e, err := p.read(ctx, tenant, id)
		if err != nil {
			return err
		}
		_, err = p.Rows.Swap(ctx, recordstore.Row{Table: table, Key: e.key(), Version: e.version})
		if errors.Is(err, recordstore.ErrConflict) {
			continue // its content was just pinned
		}
		if err != nil {
			return fmt.Errorf("remove a pin of tenant %s: %w", tenant, err)
		}
		p.mu.Lock()
		p.uncount(e.key())
		p.mu.Unlock()
		if rouse {
			p.rouse()
		}
		return nil
	}
	return fmt.Errorf("remove a pin of tenant %s: %w", tenant, recordstore.ErrConflict)
}

// RemoveAll removes all requests of a tenant, and returns how many there were.
func (p *Pins) RemoveAll(ctx context.Context, tenant string) (n int, err error) {
	for e, err := range p.all(ctx, tenant) {
		if err == nil {
			err = p.remove(ctx, tenant, e.id, true)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return n, err
		}
		n++
	}
	return n, nil
}

// all yields the requests of a tenant, the oldest first.
func (p *Pins) all(ctx context.Context, tenant string) iter.Seq2[*entry, error] {
	return func(yield func(*entry, error) bool) {
		for r, err := range p.Rows.Range(ctx, table, tenant+"\x00", tenant+"\x01") {
			var e *entry
			if err == nil {
				e, err = entryOf(r)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Used returns how many requests a tenant has, and how many bytes they count for.
func (p *Pins) Used(ctx context.Context, tenant string) (requests int, bytes uint64, err error) {
	if requests, bytes, err = p.others(ctx, tenant); err != nil {
		return 0, 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.tenants[tenant]; a != nil {
		requests += a.requests
		bytes += a.bytes
	}
	return requests, bytes, nil
}

// Match says how names are compared.
type Match int

// The ways to compare names.
const (
	Exact       Match = iota
	AnyCase           // exact, but for upper and lower case
	Part              // the name contains the text
	PartAnyCase       // the same, but for upper and lower case
)

// Query selects requests; what is empty selects all.
type Query struct {
	CIDs          []cid.Cid
	Name          string
	Match         Match
	Statuses      []string
	Before, After time.Time
	Meta          map[string]string
	Limit         int
}

func (q *Query) matches(pin Pin) bool {
	switch {
	case !q.Before.IsZero() && !pin.Created.Before(q.Before),
		!q.After.IsZero() && !pin.Created.After(q.After),
		len(q.Statuses) > 0 && !slices.Contains(q.Statuses, pin.Status),
		len(q.CIDs) > 0 && !slices.ContainsFunc(q.CIDs, func(c cid.Cid) bool { return same(c, pin.CID) }),
		q.Name != "" && !q.named(pin.Name):
		return false
	}
	for k, v := range q.Meta {
		if had, ok := pin.Meta[k]; !ok || had != v {
			return false
		}
	}
	return true
}

func (q *Query) named(name string) bool {
	want := q.Name
	if q.Match == AnyCase || q.Match == PartAnyCase {
		name, want = strings.ToLower(name), strings.ToLower(want)
	}
	if q.Match == Part || q.Match == PartAnyCase {
		return strings.Contains(name, want)
	}
	return name == want
}

// same reports whether two CIDs are of the same tree: versions do not matter.
func same(a, b cid.Cid) bool {
	return a.Equals(b) || cid.NewCidV1(a.Type(), a.Hash()).Equals(cid.NewCidV1(b.Type(), b.Hash()))
}

// List returns the newest requests of a tenant that a query selects, newest first, and how many it selects.
func (p *Pins) List(ctx context.Context, tenant string, q Query) (found []Pin, count int, err error) {
	for e, err := range p.all(ctx, tenant) {
		if err != nil {
			return nil, 0, fmt.Errorf("list the pins of tenant %s: %w", tenant, err)
		}
		pin := p.pin(e)
		if !q.matches(pin) {
			continue
		}
		count++
		if found = append(found, pin); len(found) >= 2*max(q.Limit, 1) {
			found = append(found[:0], found[len(found)-q.Limit:]...)
		}
	}
	found = found[max(0, len(found)-q.Limit):]
	slices.Reverse(found)
	return found, count, nil
}

// Roots yields the roots of what tenants need, for a collection of garbage.
func (p *Pins) Roots(context.Context) iter.Seq2[cid.Cid, error] {
	return func(yield func(cid.Cid, error) bool) {
		p.mu.Lock()
		roots := make([]cid.Cid, 0, len(p.refs))
		for c := range p.refs {
			roots = append(roots, c)
		}
		p.mu.Unlock()
		for _, c := range roots {
			if !yield(c, nil) {
				return
			}
		}
	}
}
