package republisher

import (
	"context"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

const (
	probeLimit = 10 * time.Second // timeout of asking for a signer
	lastProbe  = time.Hour        // longest delay after a failed probe
	maxProbed  = 65_536           // bounds Republisher.probed
)

// probe reports whether to ask for the signer of an own name whose key is not Ready, and when.
// One that answers is asked once in a period, so that one that is away shows long before its
// name needs a renewal.
func (r *Republisher) probe(e recordstore.Entry) (time.Time, bool) {
	if r.Ready == nil || r.Signers == nil || e.Origin != recordstore.Own {
		return time.Time{}, false
	}
	ready := r.Ready(e.Name) || r.outlook(e).Signed
	r.mu.Lock()
	defer r.mu.Unlock()
	if ready {
		delete(r.probed, e.Name)
		return time.Time{}, false
	}
	_, going := r.renewing[e.Name]
	a, known := r.probed[e.Name]
	return a.again, !going && (known || len(r.probed) < maxProbed)
}

// Unready returns why the key of an own name cannot sign, as it was when somebody last asked;
// nil: it can, or nobody has asked yet.
func (r *Republisher) Unready(name ipns.Name) error {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.probed[name].why
}

// askSigner asks for the signer of a name, and notes the result.
func (r *Republisher) askSigner(ctx context.Context, name ipns.Name) {
	within, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	_, err := r.Signers(within, name)
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	was := r.probed[name]
	if err == nil {
		r.answered(name)
	} else {
		a := postponed{delay: min(max(2*was.delay, firstUnsign), lastProbe), why: err}
		a.again = r.now().Add(a.delay)
		r.probed[name] = a
	}
	r.mu.Unlock()
	switch {
	case err != nil && was.why == nil:
		r.log().Warn("the key of a name cannot sign", "name", name.String(), "error", err)
	case err == nil && was.why != nil:
		r.log().Info("the key of a name can sign again", "name", name.String())
	}
}

// answered notes that the signer of a name is there; a renewal that has failed waits no longer.
// Call with mu held.
func (r *Republisher) answered(name ipns.Name) {
	was, known := r.probed[name]
	if known || len(r.probed) < maxProbed {
		r.probed[name] = postponed{again: r.now().Add(r.ownPeriod())}
	}
	if u, failed := r.unsigned[name]; failed && was.why != nil {
		u.again = time.Time{}
		r.unsigned[name] = u
	}
}

// Probe asks, where Run does not, for the signers that Run would ask for.
func (r *Republisher) Probe(ctx context.Context) error {
	if err := r.scan(ctx); err != nil {
		return err
	}
	var list []ipns.Name
	r.mu.Lock()
	for i := range r.scans {
		list = append(list, r.scans[i].probe...)
		r.scans[i].dirty = r.scans[i].dirty || len(r.scans[i].probe) > 0
	}
	r.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	slots := make(chan struct{}, signers)
	var running sync.WaitGroup
	for _, name := range list {
		select {
		case slots <- struct{}{}:
		case <-within.Done():
		}
		if within.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			r.askSigner(ctx, name)
		})
	}
	running.Wait()
	return r.scan(ctx)
}

// signing asks for signatures and signers in the background, in three lanes: what has its key
// here, what has not, and what failed last time. So a signer that hangs delays none but the
// names that nothing is known of, and those only at first.
type signing struct {
	r                        *Republisher
	here, elsewhere, failing chan struct{} // one element for each task in progress
	running                  sync.WaitGroup
}

func newSigning(r *Republisher) *signing {
	slots := func() chan struct{} { return make(chan struct{}, signers) }
	return &signing{r: r, here: slots(), elsewhere: slots(), failing: slots()}
}

func (s *signing) wait() { s.running.Wait() }

// task is something to ask the signer of a name for.
type task struct {
	name ipns.Name
	do   func(context.Context, ipns.Name)
}

// begin starts renewing names and asking for signers, up to maxRenewals in progress. The next
// plan contains the others again.
func (s *signing) begin(ctx context.Context, p plan) {
	r := s.r
	lanes := map[chan struct{}][]task{}
	add := func(list []ipns.Name, do func(context.Context, ipns.Name)) {
		for _, name := range list {
			ready := r.Ready == nil || r.Ready(name)
			r.mu.Lock()
			if len(r.renewing) < maxRenewals {
				r.renewing[name] = r.now()
				lane := s.lane(name, ready)
				lanes[lane] = append(lanes[lane], task{name, do})
			}
			r.mu.Unlock()
		}
	}
	add(p.renew, func(ctx context.Context, name ipns.Name) { r.renewAndNote(ctx, name, false) })
	add(p.standby, func(ctx context.Context, name ipns.Name) { r.renewAndNote(ctx, name, true) })
	add(p.probe, r.askSigner)
	for slots, tasks := range lanes {
		s.running.Go(func() { s.run(ctx, slots, tasks) })
	}
}

// lane returns the slots for a name. Call with r.mu held.
func (s *signing) lane(name ipns.Name, ready bool) chan struct{} {
	_, failed := s.r.unsigned[name]
	switch {
	case failed || s.r.probed[name].why != nil:
		return s.failing
	case ready:
		return s.here
	}
	return s.elsewhere
}

// run starts the tasks of one lane.
func (s *signing) run(ctx context.Context, slots chan struct{}, tasks []task) {
	for i, t := range tasks {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			for _, t := range tasks[i:] {
				s.r.forgetRenewing(t.name)
			}
			return
		}
		s.running.Go(func() {
			defer func() { <-slots }()
			defer s.r.forgetRenewing(t.name)
			t.do(ctx, t.name)
		})
	}
}

// forgetRenewing ends a task.
func (r *Republisher) forgetRenewing(name ipns.Name) {
	r.mu.Lock()
	delete(r.renewing, name)
	r.scans[sectorOf(name)].dirty = true
	r.mu.Unlock()
	r.hurry()
}
