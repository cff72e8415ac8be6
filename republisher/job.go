package republisher

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// job is the put of one name.
type job struct {
	work    recordstore.Work
	sector  int
	under   context.Context // of its puts: it ends with the lease of the sector
	rec     *ipns.Record    // the record put; nil: not loaded
	receipt routing.Receipt
	err     error // of the put
	over    bool  // the put was not interrupted
	refused bool  // a target answered but did not take the record
}

// took reports whether any target that counts took the record.
func (j *job) took() bool { return j.receipt.Holders("") > 0 }

// answered reports whether the receipt has any target that counts. If not, the network
// was away, and the holders from an earlier put still count.
func (j *job) answered() bool {
	road := j.receipt.Road()
	return slices.ContainsFunc(j.receipt.Networks, func(n routing.NetworkReceipt) bool { return n.Road == road && len(n.Targets) > 0 })
}

// nobody reports whether the network of a put has nobody, or is away.
func (j *job) nobody() bool {
	return errors.Is(j.err, routing.ErrNoTargets) || j.receipt.Away()
}

// putAll puts the records of the jobs, by a sweep if there are many in one sector.
func (r *Republisher) putAll(ctx context.Context, jobs []*job) {
	first, last := jobs[0].sector, jobs[len(jobs)-1].sector
	if s, ok := r.Router.(routing.Sweeper); ok && r.sweeps(len(jobs)) && first == last {
		r.sweep(jobs[0].under, s, regionOf(first), jobs)
		return
	}
	slots := make(chan struct{}, or(r.Concurrency, DefaultConcurrency))
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, j := range jobs {
		slots <- struct{}{}
		if ctx.Err() != nil || r.away() {
			return
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if r.load(j.under, j) {
				r.putOne(j.under, j)
			}
		})
	}
}

// load reads the record of a job again. It returns false if the entry has changed: the
// publisher that changed it announces it.
func (r *Republisher) load(ctx context.Context, j *job) bool {
	if routing.Allowed(ctx) != nil {
		return false
	}
	e, err := r.Book.Get(ctx, j.work.Entry.Name)
	if err != nil || e.Version != j.work.Entry.Version || e.Record.Expired(r.now()) {
		return false
	}
	j.rec = e.Record
	return true
}

// asksClock reports whether the put of a record also asks for the time of a few
// servers: it was renewed just now, and nobody knows whether by the right clock.
func (r *Republisher) asksClock(rec *ipns.Record) bool {
	r.mu.Lock()
	hash, signed := r.signed[rec.Name()]
	r.mu.Unlock()
	return signed && hash == rec.Hash() && r.Clock != nil && r.Clock.NeedsClocks()
}

func (r *Republisher) putOne(ctx context.Context, j *job) {
	ctx, cancel := context.WithTimeout(ctx, putLimit)
	defer cancel()
	for ack, err := range r.Router.Put(ctx, j.rec, routing.Look{Clock: r.asksClock(j.rec), Again: true}) {
		if err != nil {
			j.err = err
			j.receipt.End(err)
			break
		}
		r.ack(ctx, j, ack)
	}
	r.end(ctx, j)
}

// sweep puts all jobs with one visit to each server.
func (r *Republisher) sweep(ctx context.Context, s routing.Sweeper, region routing.Region, jobs []*job) {
	byName := make(map[ipns.Name]*job, len(jobs))
	for _, j := range jobs {
		byName[j.work.Entry.Name] = j
	}
	var mu sync.Mutex // a Sweeper may read records while it yields acks
	records := func(yield func(*ipns.Record) bool) {
		for _, j := range jobs {
			mu.Lock()
			ok := r.load(ctx, j)
			rec := j.rec
			mu.Unlock()
			if ok && !yield(rec) {
				return
			}
		}
	}
	var failed error
	for ack, err := range s.Sweep(ctx, region, iter.Seq[*ipns.Record](records)) {
		if err != nil {
			failed = err
			break
		}
		mu.Lock()
		j := byName[ack.Name]
		known := j != nil && j.rec != nil
		mu.Unlock()
		if known {
			r.ack(ctx, j, ack)
		}
	}
	r.measure(s, jobs[0].sector)
	for _, j := range jobs {
		if j.rec == nil {
			continue
		}
		if !j.took() || errors.Is(failed, routing.ErrAway) {
			j.err = failed
			j.receipt.End(failed)
		}
		r.end(ctx, j)
	}
}

// ack adds one ack to a job.
func (r *Republisher) ack(ctx context.Context, j *job, ack routing.Ack) {
	j.receipt.Add(ack)
	if ack.Clock != nil && r.Clock != nil {
		r.Clock.AddClock(ack.Clock)
	}
	if ack.Road == routing.RoadOf(r.Router) { // others tell nothing of the network that counts
		j.refused = j.refused || ack.Newer != nil || errors.Is(ack.Err, routing.ErrRefused)
	}
	r.mu.Lock()
	r.counts.ack(ack, len(j.rec.Raw()))
	r.mu.Unlock()
	if ack.Newer != nil {
		r.newer(ctx, j.work.Entry, ack.Newer)
	}
}

// end handles the end of a put. If allFailing names in a row get no answer, the network
// is probably away: puts then pause, so that the other names do not fail too. A refused
// record shows that the network is there.
func (r *Republisher) end(ctx context.Context, j *job) {
	// A put that timed out has failed; one that the caller interrupted has not. What too few
	// took before the sector was lost is left to its next holder.
	j.over = j.took() || !stopped(ctx)
	if held, of := j.receipt.Announced(); lostLease(ctx) && held < min(r.wanted(), of) {
		j.over = false
	}
	if !j.over {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if j.err != nil {
		r.counts.failed(j.err)
	}
	if j.took() || j.refused {
		r.failing = 0
		return
	}
	if r.failing++; r.failing >= allFailing || j.nobody() {
		r.failing = 0
		r.paused = r.now().Add(min(failedWait, r.ownPeriod()))
	}
}

// note returns the upkeep to store after a put.
func (r *Republisher) note(j *job) recordstore.Upkeep {
	u, name, now := j.work.Upkeep, j.work.Entry.Name, r.now()
	u.Name = name
	held, of := j.receipt.Announced()
	if j.answered() {
		// Figures only: the targets of every name would take most of the store.
		u.Announced, u.Holders, u.Receipt = j.rec.Hash(), held, j.receipt.Figures()
		if held > 0 {
			u.LastPut = now
		}
	}
	r.mu.Lock()
	delete(r.signed, name)
	r.mu.Unlock()
	if held > 0 && held >= min(r.wanted(), of) {
		r.mu.Lock()
		delete(r.short, name)
		r.mu.Unlock()
		u.LastErr, u.Due = "", next(now, j.sector, r.period(j.work.Entry.Origin, j.sector))
		return u
	}
	u.LastErr = j.receipt.String()
	if j.err != nil {
		u.LastErr += ": " + j.err.Error()
	}
	u.Due = now.Add(r.retryAfter(name))
	if held == 0 && j.nobody() {
		u.Due = now.Add(-grace) // the network is away: due as soon as it is back
	}
	return u
}

// retryAfter returns how long a name that too few took waits for its retry. The more
// such names there are, the longer they wait, so that retries do not crowd out puts.
func (r *Republisher) retryAfter(name ipns.Name) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.short) < maxShort {
		r.short[name] = struct{}{}
	}
	return min(max(firstRetry, time.Duration(len(r.short))*retryEvery), lastRetry)
}
