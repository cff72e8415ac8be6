package republisher

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// lane is the priority of a due name.
type lane int

const (
	laneNone    lane = iota // not now
	laneNew                 // a value that was never announced
	laneUrgent              // too few holders, or near its EOL
	laneRoutine             // its sector's turn has come
)

// plan is the work to do.
type plan struct {
	urgent  []urgent     // in the order of mostUrgent
	sectors [sectors]int // number of due names per sector that are not in urgent
	late    int          // number of names that have waited too long
	renew   []ipns.Name  // names to renew; at most maxRenewals
	standby []ipns.Name  // the same, in sectors of others
	probe   []ipns.Name  // names whose signers to ask for; at most maxRenewals
	ask     []question   // names for which others may have a newer record; at most maxAsked
	ended   []ipns.Name  // hosted names whose record has expired; at most maxEnded per sector
}

// urgent is a name that does not wait for its sector's turn.
type urgent struct {
	name ipns.Name
	lane lane
	// before is the order within a lane: when the name became due (laneNew), or the
	// EOL of its record.
	before time.Time
	own    bool
}

// mostUrgent sorts names by lane, own ones before those of others, and by time, and keeps
// the first maxUrgent: however much tenants put, own names do not wait for it.
func mostUrgent(list []urgent) []urgent {
	slices.SortStableFunc(list, func(a, b urgent) int {
		return cmp.Or(cmp.Compare(a.lane, b.lane), -compareBool(a.own, b.own), a.before.Compare(b.before))
	})
	return slices.Clone(list[:min(len(list), maxUrgent)]) // a plan does not hold the rest
}

// compareBool orders true after false.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// waits adds an urgent name that is due at the given time. A sectorScan holds at most twice
// maxUrgent names and drops the least urgent.
func (v *sectorScan) waits(e recordstore.Entry, l lane, at time.Time) {
	if l != laneNew {
		at = e.Record.EOL()
	}
	if v.urgent = append(v.urgent, urgent{e.Name, l, at, e.Origin == recordstore.Own}); len(v.urgent) >= 2*maxUrgent {
		before := len(v.urgent)
		v.urgent = mostUrgent(v.urgent)
		v.routine += before - len(v.urgent)
	}
}

// sectorScan is the result of scanning one sector.
type sectorScan struct {
	at    time.Time // of the scan; zero: never
	soon  time.Time // when to scan again even without a change; zero: no reason to
	dirty bool      // a name of the sector has changed since

	lease  recordstore.Lease // under which the sector was scanned
	others bool              // others look after it: only renew is used

	urgent  []urgent
	routine int
	renew   []ipns.Name
	probe   []ipns.Name
	ask     []question
	ended   []ipns.Name
	tally   tally
}

// wake schedules another scan of the sector for the given time if that is in the future.
func (v *sectorScan) wake(at time.Time) {
	if at.After(v.at) && (v.soon.IsZero() || at.Before(v.soon)) {
		v.soon = at
	}
}

// stale reports whether the sector must be scanned again.
func (v *sectorScan) stale(now time.Time, lease recordstore.Lease, held bool) bool {
	return v.at.IsZero() || v.lease != lease || v.others == held || v.dirty && held || !v.soon.IsZero() && !v.soon.After(now) || now.Sub(v.at).Abs() >= rescan
}

// touch marks the sector of a name as changed.
func (r *Republisher) touch(name ipns.Name) {
	sector := sectorOf(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scans[sector].dirty = true
}

// scan scans the stale sectors, after a scan that is running. It only reads; every later
// action reads the name again.
func (r *Republisher) scan(ctx context.Context) error {
	r.init()
	// Of two at once, the one that began earlier could end later, and put back what it has read.
	select {
	case r.scanning <- struct{}{}:
		defer func() { <-r.scanning }()
	case <-ctx.Done():
		return ctx.Err()
	}
	begin := time.Now()
	for sector := range sectors {
		lease, held := r.lease(sector)
		r.mu.Lock()
		stale := r.scans[sector].stale(r.now(), lease, held)
		r.scans[sector].dirty = false // from here on changes count again
		r.mu.Unlock()
		if !stale {
			continue
		}
		scan := r.scanSector
		if !held {
			scan = r.scanOthers
		}
		v, err := scan(ctx, sector)
		v.lease, v.others = lease, !held
		r.mu.Lock()
		if err == nil {
			v.dirty = r.scans[sector].dirty
			r.scans[sector] = v
		} else {
			r.scans[sector].dirty = true
		}
		r.mu.Unlock()
		if err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scannedAt = r.now()
	r.rested = time.Now().Add(scanShare * time.Since(begin))
	return nil
}

// scanSector scans one sector.
func (r *Republisher) scanSector(ctx context.Context, sector int) (sectorScan, error) {
	v := sectorScan{at: r.now()}
	for w, err := range r.Book.Due(ctx, regionOf(sector), forever) {
		if err != nil {
			return sectorScan{}, err
		}
		if w.Entry.Origin < recordstore.Hosted {
			continue
		}
		ahead := r.outlook(w.Entry)
		if hasEnded(w.Entry, v.at) && !ahead.Signed && len(v.ended) < maxEnded {
			v.ended = append(v.ended, w.Entry.Name)
		}
		l, at := r.due(w, sector, v.at)
		v.wake(at)
		again, renew := r.renewal(w, v.at, l)
		if renew && again.After(v.at) {
			v.wake(again)
			renew = false
		}
		// A name that may not be put is only asked for. Own names at once, even if they
		// are not due, since this node's servers present their records as current.
		if (l != laneNone || w.Entry.Origin == recordstore.Own) && !r.mayPut(ctx, w.Entry) {
			v.askLater(r, w.Entry)
			l, renew = laneNone, false
		}
		if renew && !r.mayRenew(ctx, w.Entry) {
			v.askLater(r, w.Entry)
			renew = false
		}
		wrong := r.unsignable(w.Entry)
		if ahead.Signed {
			wrong = nil
		}
		if renew {
			if off := r.checkClock(); off != nil {
				wrong = off
				v.wake(v.at.Add(wrongClock))
				renew = false
			}
		}
		if at, probe := r.probe(w.Entry); probe && !renew {
			if at.After(v.at) {
				v.wake(at)
			} else if len(v.probe) < maxRenewals {
				v.probe = append(v.probe, w.Entry.Name)
			}
		}
		v.count(r, w, l, at, wrong, ahead.Risk)
		if renew && len(v.renew) < maxRenewals {
			v.renew = append(v.renew, w.Entry.Name)
		}
		switch {
		case l == laneRoutine:
			v.routine++
		case l != laneNone:
			v.waits(w.Entry, l, at)
		}
	}
	return v, nil
}

// askLater plans a question for a name, now or when askAt says.
func (v *sectorScan) askLater(r *Republisher, e recordstore.Entry) {
	if at := r.askAt(e.Name); at.After(v.at) {
		v.wake(at)
	} else if len(v.ask) < maxAsked {
		v.ask = append(v.ask, question{e.Name, e.Origin})
	}
}

// makePlan makes a plan from the last scan of each sector.
func (r *Republisher) makePlan() plan {
	r.mu.Lock()
	defer r.mu.Unlock()
	var p plan
	total := 0
	for i := range r.scans {
		total += len(r.scans[i].urgent)
	}
	p.urgent = make([]urgent, 0, total)
	for i := range r.scans {
		v := &r.scans[i]
		if lease, held := r.lease(i); v.lease != lease || v.others == held {
			continue // it is scanned soon
		}
		if v.others {
			if len(v.renew) > 0 { // once; what fails is found again by the next scan
				p.standby = append(p.standby, v.renew[:min(len(v.renew), maxRenewals-len(p.standby))]...)
				v.renew = nil
				v.wake(r.now().Add(standbyAgain))
			}
			continue
		}
		p.sectors[i] = v.routine
		p.late += v.tally.late
		p.urgent = append(p.urgent, v.urgent...)
		p.ended = append(p.ended, v.ended...)
		v.ended = nil
		p.renew = append(p.renew, v.renew[:min(len(v.renew), maxRenewals-len(p.renew))]...)
		p.probe = append(p.probe, v.probe[:min(len(v.probe), maxRenewals-len(p.probe))]...)
		p.ask = append(p.ask, v.ask[:min(len(v.ask), maxAsked-len(p.ask))]...)
	}
	all := p.urgent
	p.urgent = mostUrgent(all)
	for _, u := range all[len(p.urgent):] {
		p.sectors[sectorOf(u.name)]++ // put with the others of its sector, after the most urgent
	}
	return p
}

// forever is a time before which every name is due.
var forever = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// due returns the lane of a name and when it became due, or laneNone and when it will.
func (r *Republisher) due(w recordstore.Work, sector int, now time.Time) (lane, time.Time) {
	e, u := w.Entry, w.Upkeep
	if e.Record.Expired(now) {
		return laneNone, time.Time{} // an own name must be renewed first
	}
	if until, ok := r.left(w, now); ok {
		return laneNone, until
	}
	var at time.Time
	l := laneRoutine
	switch {
	case u.LastErr != "" && u.LastErr != renewedNote(e.Record):
		// The publisher that recorded the error also retries; let it go first.
		at, l = u.Due.Add(grace), laneUrgent
		if u.Due.Sub(now) > lastRetry {
			at = now // recorded while the clock was ahead
		}
	case u.LastPut.IsZero(), u.Announced != e.Record.Hash():
		at, l = e.Changed, laneNew
	default:
		at = next(u.LastPut, sector, r.period(e.Origin, sector))
		if again, ok := othersLack(w); ok && again.Before(at) {
			at = again
		}
		if u.LastPut.After(now.Add(grace)) {
			at = now
		}
	}
	if at.After(now) {
		return laneNone, at
	}
	if l == laneRoutine && r.nearEnd(e, now) {
		l = laneUrgent
	}
	return l, at
}

// othersLack reports whether a record that those that count took is missing on other
// roads, such as an HTTP router that was down, and when to put it again: after twice the
// time since it was new, so that a router that is gone for good costs a few puts.
func othersLack(w recordstore.Work) (again time.Time, ok bool) {
	receipt := receiptOf(w)
	if k, of := receipt.On(routing.HTTP); receipt.Road() == routing.HTTP || k >= of {
		return time.Time{}, false
	}
	return w.Upkeep.LastPut.Add(max(othersRetry, w.Upkeep.LastPut.Sub(w.Entry.Changed))), true
}

// left reports whether a record is still left to the publisher that changed the entry
// and will announce it, and until when. It is not if the announcement has been
// recorded, if the clock went back, if the record is a renewal made here, or if it is
// a hosted record stored before Run began, since its publisher does not resume after a
// restart.
func (r *Republisher) left(w recordstore.Work, now time.Time) (until time.Time, ok bool) {
	e := w.Entry
	rest := now.Sub(e.Changed)
	if w.Upkeep.Announced == e.Record.Hash() && w.Upkeep.LastErr == "" || w.Upkeep.LastErr == renewedNote(e.Record) || rest < 0 || rest >= r.grace(e) {
		return time.Time{}, false
	}
	r.mu.Lock()
	began := r.began
	hash, signed := r.signed[e.Name]
	r.mu.Unlock()
	if signed && hash == e.Record.Hash() || e.Origin != recordstore.Own && e.Changed.Before(began) {
		return time.Time{}, false
	}
	return e.Changed.Add(r.grace(e)), true
}

// grace returns how long a record is left to the publisher that changed the entry.
func (r *Republisher) grace(e recordstore.Entry) time.Duration {
	return min(grace, r.lifetime(e)/8)
}

// lifetime returns the intended lifetime of an entry's record. For own names it is the
// stored span or the default, never what remains of a record signed by another holder
// of the key: two nodes that renew each other's records would shorten it each time.
// For hosted names it is the time from the last change to the EOL.
func (r *Republisher) lifetime(e recordstore.Entry) time.Duration {
	if e.Origin == recordstore.Own {
		return or(e.Span, or(r.Lifetime, ipns.DefaultLifetime))
	}
	d := e.Record.EOL().Sub(e.Changed)
	if d <= 0 || e.Changed.IsZero() {
		return ipns.DefaultLifetime
	}
	return d
}

// nearEnd reports whether less than a quarter of the record's lifetime is left.
func (r *Republisher) nearEnd(e recordstore.Entry, now time.Time) bool {
	return e.Record.EOL().Sub(now) < r.lifetime(e)/4
}
