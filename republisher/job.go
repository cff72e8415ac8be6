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

// job is one name on its way.
type job struct {
	work    recordstore.Work
	sector  int
	rec     *ipns.Record // what is put; nil: nothing yet
	receipt routing.Receipt
	err     error // that its put ended with
	over    bool  // the put was not interrupted
	refused bool  // somebody answered and did not take the record
}

// took reports whether anybody took the record.
func (j *job) took() bool { return j.receipt.Took("") > 0 }

// answered reports whether the receipt tells of anybody: that a network is away says
// nothing of those who hold the record since an earlier put.
func (j *job) answered() bool {
	return slices.ContainsFunc(j.receipt.Networks, func(n routing.NetworkReceipt) bool { return len(n.Targets) > 0 })
}

// putAll puts the records of the jobs: by a sweep if they are many of one sector.
func (r *Republisher) putAll(ctx context.Context, jobs []*job) {
	ctx, cancel := context.WithTimeout(ctx, sweepLimit)
	defer cancel()
	first, last := jobs[0].sector, jobs[len(jobs)-1].sector
	if s, ok := r.Router.(routing.Sweeper); ok && r.sweeps(len(jobs)) && first == last {
		r.sweep(ctx, s, regionOf(first), jobs)
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
			if r.load(ctx, j) {
				r.putOne(ctx, j)
			}
		})
	}
}

// load reads the record of a job once more. If it has changed, whoever changed it
// announces it.
func (r *Republisher) load(ctx context.Context, j *job) bool {
	e, err := r.Book.Get(ctx, j.work.Entry.Name)
	if err != nil || e.Version != j.work.Entry.Version || e.Record.Expired(r.now()) {
		return false
	}
	j.rec = e.Record
	return true
}

func (r *Republisher) putOne(ctx context.Context, j *job) {
	ctx, cancel := context.WithTimeout(ctx, putLimit)
	defer cancel()
	for ack, err := range r.Router.Put(ctx, j.rec, routing.Look{}) {
		if err != nil {
			j.err = err
			j.receipt.End(err)
			break
		}
		r.ack(ctx, j, ack)
	}
	r.end(ctx, j)
}

// sweep puts all jobs by one visit to each server.
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

// ack folds one ack in.
func (r *Republisher) ack(ctx context.Context, j *job, ack routing.Ack) {
	j.receipt.Add(ack)
	j.refused = j.refused || ack.Newer != nil || errors.Is(ack.Err, routing.ErrRefused)
	r.mu.Lock()
	r.counts.ack(ack, len(j.rec.Raw()))
	r.mu.Unlock()
	if ack.Newer != nil {
		r.newer(ctx, j.work.Entry, ack.Newer)
	}
}

// end counts a put that is over. When nobody answers for name after name, it is the
// network that is away: then the others wait, and do not fail too. A record that
// is refused says nothing of the others.
func (r *Republisher) end(ctx context.Context, j *job) {
	// One that ran out of its own time has failed; what the caller interrupted
	// has not.
	j.over = j.took() || !errors.Is(context.Cause(ctx), context.Canceled)
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
	if r.failing++; r.failing >= allFailing || errors.Is(j.err, routing.ErrNoTargets) || errors.Is(j.err, routing.ErrAway) {
		r.failing = 0
		r.paused = r.now().Add(min(failedWait, r.ownPeriod()))
	}
}

// note returns what is to be kept of a put that is over.
func (r *Republisher) note(j *job) recordstore.Upkeep {
	u, name, now := j.work.Upkeep, j.work.Entry.Name, r.now()
	u.Name = name
	held, of := j.receipt.Announced()
	if j.answered() {
		// The targets of every name would be most of the store.
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
	if held == 0 && (errors.Is(j.err, routing.ErrNoTargets) || errors.Is(j.err, routing.ErrAway)) {
		u.Due = now.Add(-grace) // it is the network that is away: due when that is back
	}
	return u
}

// retryAfter is how long a name waits that was put and that too few took: the more
// there are of them, the longer, so that retries never take the place of puts.
func (r *Republisher) retryAfter(name ipns.Name) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.short) < maxShort {
		r.short[name] = struct{}{}
	}
	return min(max(firstRetry, time.Duration(len(r.short))*retryEvery), lastRetry)
}
