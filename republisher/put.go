package republisher

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// put follows the newest plan, one batch after another, until ctx ends.
func (r *Republisher) put(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.news:
		}
		if err := r.follow(ctx, r.makePlan()); err != nil && ctx.Err() == nil {
			r.log().Error("republishing", "error", err)
		}
	}
}

// follow follows a plan until it is done or there is a newer one, which includes new
// values and leaves out what is done.
func (r *Republisher) follow(ctx context.Context, p plan) error {
	r.pace(p)
	for l := laneNew; l <= laneUrgent; l++ {
		if err := r.putUrgent(ctx, p.urgent, l); err != nil || r.away() {
			return err
		}
	}
	r.mu.Lock()
	first := r.cursor // where the last plan stopped, so that no sector is always last
	r.mu.Unlock()
	var b batches
	for i := range sectors {
		sector := (first + i) % sectors
		if _, held := r.lease(sector); p.sectors[sector] == 0 || !held {
			continue
		}
		if err := r.putSector(ctx, sector, &b); err != nil || r.away() {
			return err
		}
		r.mu.Lock()
		r.cursor = sector
		r.mu.Unlock()
		if len(r.news) > 0 {
			break
		}
	}
	return r.batch(ctx, b.loose)
}

// pace sets how fast a plan is followed. Routine names are spread over the
// first half of their sector's turn, so that the load is smooth; new, urgent and late
// names are put as fast as possible.
func (r *Republisher) pace(p plan) {
	s, ok := r.Router.(routing.Sweeper)
	if !ok {
		return
	}
	names := 0
	for _, n := range p.sectors {
		names += n
	}
	if len(p.urgent) > 0 || p.late > 0 {
		s.Pace(0)
		return
	}
	within := min(spread, min(r.ownPeriod(), r.hostedPeriod())/sectors/2)
	s.Pace(float64(copies*names) / within.Seconds())
}

// batches collects names into batches. Many names of one sector are a batch of their
// own; small groups from several sectors share one and are put one by one.
type batches struct {
	loose []recordstore.Work
}

// add puts the names of one sector, or keeps them for a shared batch.
func (r *Republisher) add(ctx context.Context, b *batches, list []recordstore.Work) error {
	if r.sweeps(len(list)) {
		return r.batch(ctx, list)
	}
	b.loose = append(b.loose, list...)
	if len(b.loose) < looseBatch {
		return nil
	}
	list, b.loose = b.loose, nil
	return r.batch(ctx, list)
}

// sweeps reports whether to sweep for this many names of one sector.
func (r *Republisher) sweeps(names int) bool {
	_, ok := r.Router.(routing.Sweeper)
	return ok && names >= fewNames
}

// away reports whether puts are paused because the network seems away.
func (r *Republisher) away() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paused.After(r.now())
}

// putUrgent puts the urgent names of one lane. The sector with the most urgent name
// comes first, and each sector is put as a whole: one visit to a server carries all
// of its names.
func (r *Republisher) putUrgent(ctx context.Context, list []urgent, l lane) error {
	var bySector [sectors][]recordstore.Work
	var order []int // the sectors, by their most urgent names
	for _, u := range list {
		if u.lane != l {
			continue
		}
		if _, held := r.lease(sectorOf(u.name)); !held {
			continue
		}
		w, ok, err := r.again(ctx, u.name)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		s := sectorOf(u.name)
		if len(bySector[s]) == 0 {
			order = append(order, s)
		}
		bySector[s] = append(bySector[s], w)
	}
	var b batches
	for _, s := range order {
		works := bySector[s]
		slices.SortFunc(works, func(a, b recordstore.Work) int {
			x, y := a.Entry.Name.Kad(), b.Entry.Name.Kad()
			return bytes.Compare(x[:], y[:])
		})
		if err := r.add(ctx, &b, works); err != nil || r.away() {
			return err
		}
	}
	return r.batch(ctx, b.loose)
}

// again reads a name again and reports whether it is still due.
func (r *Republisher) again(ctx context.Context, name ipns.Name) (w recordstore.Work, ok bool, err error) {
	w.Entry, err = r.Book.Get(ctx, name)
	if errors.Is(err, recordstore.ErrNotFound) {
		return w, false, nil
	}
	if err == nil {
		w.Upkeep, err = r.Book.Upkeep(ctx, name)
	}
	if err != nil || w.Entry.Record == nil {
		return w, false, err
	}
	return w, r.ready(ctx, w, sectorOf(name)), nil
}

// ready reports whether to put a name now. A name that is being renewed waits for the
// next plan, unless the renewal takes long.
func (r *Republisher) ready(ctx context.Context, w recordstore.Work, sector int) bool {
	now := r.now()
	l, _ := r.due(w, sector, now)
	if l == laneNone || !r.mayPut(ctx, w.Entry) {
		return false
	}
	if w.Entry.Record.EOL().Sub(now) < highTime(r.lifetime(w.Entry)) {
		return true
	}
	if again, ok := r.renewal(w, now, l); ok && !again.After(now) && r.mayRenew(ctx, w.Entry) && r.checkClock() == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	begun, going := r.renewing[w.Entry.Name]
	return !going || now.Sub(begun) > 2*signLimit
}

// putSector puts the due names of a sector whose turn has come.
func (r *Republisher) putSector(ctx context.Context, sector int, b *batches) error {
	var list []recordstore.Work
	for w, err := range r.Book.Due(ctx, regionOf(sector), forever) {
		if err != nil {
			return err
		}
		if w.Entry.Origin < recordstore.Hosted || !r.ready(ctx, w, sector) {
			continue
		}
		if list = append(list, w); len(list) < sweepBatch {
			continue
		}
		if err := r.add(ctx, b, list); err != nil || r.away() {
			return err
		}
		list = nil
	}
	return r.add(ctx, b, list)
}

// batch puts names and stores their upkeep. Names of a sweep are in one sector and
// sorted by Kademlia id. After a crash before the upkeep is stored, the batch is
// repeated.
func (r *Republisher) batch(ctx context.Context, list []recordstore.Work) error {
	if len(list) == 0 {
		return nil
	}
	begin := time.Now()
	putting, cancel := context.WithTimeout(ctx, sweepLimit)
	defer cancel()
	under := make(map[int]context.Context)
	jobs := make([]*job, len(list))
	for i, w := range list {
		j := &job{work: w, sector: sectorOf(w.Entry.Name)}
		if under[j.sector] == nil {
			one, done := r.under(putting, j.sector)
			defer done() // once what was put is noted
			under[j.sector] = one
		}
		j.under, jobs[i] = under[j.sector], j
	}
	r.putAll(putting, jobs)
	// Store the upkeep even if ctx has ended, so that finished puts are not repeated.
	ctx = context.WithoutCancel(ctx)
	var notes []recordstore.Upkeep
	for _, j := range jobs {
		if !j.over {
			continue // due as before
		}
		if e, err := r.Book.Get(ctx, j.work.Entry.Name); err != nil || e.Record == nil || e.Record.Hash() != j.rec.Hash() {
			continue // the put record is not the newest any more
		}
		if lostLease(j.under) && !r.putLast(ctx, j) {
			continue
		}
		notes = append(notes, r.note(j))
	}
	if err := r.Book.Note(ctx, notes...); err != nil {
		return err
	}
	r.mu.Lock()
	r.counts.batch(len(notes), time.Since(begin))
	for _, j := range jobs {
		r.scans[j.sector].dirty = true
	}
	r.mu.Unlock()
	return r.Book.Sync(ctx)
}

// putLast reports whether nobody has put the name of a job since the job began.
func (r *Republisher) putLast(ctx context.Context, j *job) bool {
	u, err := r.Book.Upkeep(ctx, j.work.Entry.Name)
	return err == nil && !u.LastPut.After(j.work.Upkeep.LastPut)
}

// newer passes a newer record found on the network to the Book. The next put uses it.
func (r *Republisher) newer(ctx context.Context, e recordstore.Entry, rec *ipns.Record) {
	lease, held := r.lease(sectorOf(rec.Name()))
	if !held {
		return // who holds the sector now meets it, too
	}
	outcome, err := r.Book.Take(ctx, rec, names.Entrance{Origin: recordstore.Seen, Lease: lease})
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, recordstore.ErrLease) {
			r.log().Error("taking a newer record", "name", e.Name.String(), "error", err)
		}
		return
	}
	if !r.mayRenew(ctx, e) {
		// This node may have signed it itself, before a restore.
		if outcome == names.New && e.Record != nil {
			r.log().Info("others have a newer record than this store knew", "name", e.Name.String(), "ours", e.Record.Sequence(), "theirs", rec.Sequence(), "value", rec.Value())
		}
		return
	}
	r.report(e, rec, outcome)
}
