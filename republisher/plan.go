package republisher

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// lane says how soon a name is put, compared with others that are due.
type lane int

const (
	laneNone    lane = iota // not now
	laneNew                 // a value that was never announced
	laneUrgent              // too few hold it, or it ends soon
	laneRoutine             // the hand is over it
)

// plan is what a scan found to do.
type plan struct {
	urgent  []urgent     // in the order of their lanes; at most maxUrgent
	sectors [sectors]int // routine names that are due in each
	renew   []ipns.Name  // those to sign again; at most maxRenewals
}

type urgent struct {
	name ipns.Name
	lane lane
}

// forever is a time before which every name is due.
var forever = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// scan reads the whole store and says what there is to do and how the names are.
// It changes nothing, so that what is done later looks at each name again.
func (r *Republisher) scan(ctx context.Context) (plan, scan, error) {
	var p plan
	now := r.now()
	s := scan{at: now}
	for w, err := range r.Book.Store.Due(ctx, recordstore.Region{}, forever) {
		if err != nil {
			return plan{}, scan{}, err
		}
		if w.Entry.Origin < recordstore.Hosted {
			continue
		}
		lane, since := r.due(w, now)
		s.count(r, w, now, lane, since)
		if r.renewalDue(w, now, lane) && len(p.renew) < maxRenewals {
			p.renew = append(p.renew, w.Entry.Name)
		}
		switch lane {
		case laneNone:
		case laneRoutine:
			p.sectors[sectorOf(w.Entry.Name)]++
		default:
			if len(p.urgent) < maxUrgent {
				p.urgent = append(p.urgent, urgent{w.Entry.Name, lane})
			}
		}
	}
	slices.SortStableFunc(p.urgent, func(a, b urgent) int { return cmp.Compare(a.lane, b.lane) })
	return p, s, nil
}

// due returns the lane of a name, and since when it waits.
func (r *Republisher) due(w recordstore.Work, now time.Time) (lane, time.Time) {
	e, u := w.Entry, w.Upkeep
	if e.Record.Expired(now) {
		return laneNone, time.Time{} // an own one is renewed first
	}
	// Whoever changed the entry announces it; a clock that went back must not
	// make a name wait.
	if rest := now.Sub(e.Changed); rest >= 0 && rest < min(grace, r.lifetime(e)/8) {
		return laneNone, time.Time{}
	}
	var at time.Time
	l := laneRoutine
	switch {
	case u.LastErr != "":
		// The publisher that noted it tries again itself, while it remembers to.
		at, l = u.Due.Add(grace), laneUrgent
		if u.Due.Sub(now) > lastRetry {
			at = now // noted by a clock that was ahead
		}
	case u.LastPut.IsZero(), u.Announced != e.Record.Hash():
		at, l = e.Changed, laneNew
	default:
		at = next(u.LastPut, sectorOf(e.Name), r.period(e))
		if u.LastPut.After(now.Add(grace)) {
			at = now
		}
	}
	if at.After(now) {
		return laneNone, time.Time{}
	}
	if l == laneRoutine && r.nearEnd(e, now) {
		l = laneUrgent
	}
	return l, at
}

// lifetime is how long the record of the entry was to live when it came in.
// What passed between signing and entering is made good by rounding up, or each
// renewal would shorten the next one.
func (r *Republisher) lifetime(e recordstore.Entry) time.Duration {
	d := e.Record.EOL().Sub(e.Changed)
	if d <= 0 || e.Changed.IsZero() {
		return ipns.DefaultLifetime
	}
	unit := time.Second
	if d >= 10*time.Minute {
		unit = time.Minute
	}
	return (d + unit - 1).Truncate(unit)
}

// nearEnd reports whether less than a quarter of the record's life is left.
func (r *Republisher) nearEnd(e recordstore.Entry, now time.Time) bool {
	return e.Record.EOL().Sub(now) < r.lifetime(e)/4
}
