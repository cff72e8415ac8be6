package republisher

import (
	"bytes"
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

const (
	maxAsked   = 16_384      // questions in one plan; the others wait for the next
	settlers   = 64          // findings processed concurrently
	firstAsk   = time.Minute // first delay before a repeated question; it doubles each time
	lastAsk    = time.Hour   // longest delay before a repeated question
	maxUnasked = 65_536      // bounds Republisher.unasked

	// askHosted is how many servers are asked for a hosted name. That is enough, since
	// its owner has put any newer record on all of the closest 20, and an answer is
	// fifteen times as long as a put.
	askHosted = 5
)

// question is a name for which servers must be asked whether they have a newer record.
type question struct {
	name   ipns.Name
	origin recordstore.Origin
}

// mayPut and mayRenew report whether the record of an entry may be announced, or
// renewed. One from an earlier generation of the store may not, until the network has
// been asked.
func (r *Republisher) mayPut(ctx context.Context, e recordstore.Entry) bool {
	ok, err := r.Book.Current(ctx, e)
	return ok && err == nil
}

func (r *Republisher) mayRenew(ctx context.Context, e recordstore.Entry) bool {
	ok, err := r.Book.Known(ctx, e)
	return ok && err == nil
}

// ask processes the questions of each plan, one plan after another, until ctx ends.
func (r *Republisher) ask(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case list := <-r.questions:
			r.askAll(ctx, list)
		}
	}
}

// askAll asks for names; for many names of one sector, with one visit to each server.
func (r *Republisher) askAll(ctx context.Context, list []question) {
	if len(list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sweepLimit)
	defer cancel()
	slices.SortFunc(list, func(a, b question) int {
		x, y := a.name.Kad(), b.name.Kad()
		return bytes.Compare(x[:], y[:])
	})
	var groups [sectors][recordstore.Own + 1][]ipns.Name
	for _, q := range list {
		s := sectorOf(q.name)
		groups[s][q.origin] = append(groups[s][q.origin], q.name)
	}
	asker, _ := r.Router.(routing.Asker)
	var loose []ipns.Name
	for sector := range groups {
		own, hosted := groups[sector][recordstore.Own], groups[sector][recordstore.Hosted]
		if asker == nil || len(own)+len(hosted) < fewNames {
			loose = append(append(loose, own...), hosted...)
			continue
		}
		for closest, names := range map[int][]ipns.Name{0: own, askHosted: hosted} {
			if len(names) == 0 {
				continue
			}
			under, done := r.under(ctx, sector)
			more := r.settleAll(under, asker.Ask(under, regionOf(sector), slices.Values(names), closest))
			if done(); !more {
				return
			}
		}
	}
	r.settleAll(ctx, routing.FindEach(ctx, r.Router, slices.Values(loose)))
}

// settleAll processes findings. It reports whether more questions can be asked now.
func (r *Republisher) settleAll(ctx context.Context, findings iter.Seq2[routing.Finding, error]) (more bool) {
	slots := make(chan struct{}, settlers)
	var wg sync.WaitGroup
	defer wg.Wait()
	for f, err := range findings {
		if err == nil && errors.Is(f.Err, routing.ErrNoTargets) {
			err = f.Err
		}
		if err != nil && lostLease(ctx) {
			return true // the next holder of the sector asks
		}
		if err != nil {
			// No server can be asked: this is not about one name.
			if ctx.Err() == nil {
				r.log().Info("searching for newer records", "error", err)
			}
			r.mu.Lock()
			r.askAfter = r.now().Add(min(failedWait, r.ownPeriod()))
			r.mu.Unlock()
			return false
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			// Even if ctx has ended, so that the question is not repeated.
			err := r.settle(context.WithoutCancel(ctx), f)
			if err != nil && ctx.Err() == nil && !errors.Is(err, recordstore.ErrLease) {
				r.log().Error("searching for a newer record", "name", f.Name.String(), "error", err)
			}
		})
	}
	return true
}

// settle processes the finding for a name. If no server has a newer record, the record
// may be announced and renewed from now on.
func (r *Republisher) settle(ctx context.Context, f routing.Finding) error {
	defer r.changed(f.Name)
	lease, held := r.lease(sectorOf(f.Name))
	if !held {
		return recordstore.ErrLease
	}
	e, err := r.Book.Get(ctx, f.Name)
	if err != nil {
		return err
	}
	if f.Record != nil {
		r.newer(ctx, e, f.Record)
	}
	if f.Err != nil {
		return r.unanswered(ctx, e, f.Err)
	}
	r.mu.Lock()
	delete(r.unasked, f.Name)
	r.mu.Unlock()
	for range renewRetries {
		if e, err = r.Book.Get(ctx, f.Name); err != nil {
			return err
		}
		if r.mayPut(ctx, e) && (e.Origin != recordstore.Own || r.mayRenew(ctx, e)) {
			return nil
		}
		if _, err = r.Book.Confirm(ctx, e, lease); !errors.Is(err, recordstore.ErrConflict) {
			return err
		}
	}
	return err
}

// unanswered schedules another question for a name and stores the reason.
func (r *Republisher) unanswered(ctx context.Context, e recordstore.Entry, cause error) error {
	r.mu.Lock()
	u := postponed{delay: min(max(2*r.unasked[e.Name].delay, firstAsk), lastAsk)}
	u.again = r.now().Add(u.delay)
	if _, known := r.unasked[e.Name]; known || len(r.unasked) < maxUnasked {
		r.unasked[e.Name] = u
	}
	r.counts.failed(cause)
	r.mu.Unlock()
	if e.Origin != recordstore.Own || e.Record == nil {
		return nil
	}
	kept, err := r.Book.Upkeep(ctx, e.Name)
	if err != nil {
		return err
	}
	if kept.Announced != e.Record.Hash() {
		kept.Announced, kept.Holders, kept.Receipt = [32]byte{}, 0, routing.Receipt{} // that was another record's
	}
	kept.LastErr, kept.Due = unsure+cause.Error(), r.now().Add(-grace) // due once there is an answer
	return r.Book.Note(ctx, kept)
}

// unsure is the start of LastErr for a name that is neither put nor renewed.
const unsure = "it is not known whether others have a newer record: "

// askAt returns when the next question for a name may be asked.
func (r *Republisher) askAt(name ipns.Name) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.unasked[name].again
	if r.askAfter.After(at) {
		at = r.askAfter
	}
	return at
}
