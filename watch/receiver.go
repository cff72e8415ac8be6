package watch

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/goipns/ipns/recordstore"
)

const (
	firstRetry = time.Second // after the first failure; each further one makes it half as long again
	lastRetry  = time.Hour
	// breakAfter is how many failures in a row pause a receiver: then nothing is sent to it
	// for a time that each further failure doubles.
	breakAfter = 5
	lastPause  = 10 * time.Minute
	// alive is how long after a success pauses do not grow: a receiver that takes one event
	// and not the next is not away.
	alive = time.Minute
	// savePause is how long a new position may be unsaved: what was sent after it is sent
	// again if the process ends.
	savePause = 2 * time.Second
	// idleSave is how long a position may be unsaved of a webhook that is told of nothing.
	idleSave = time.Minute
	// rereadPause is how long to wait before changes are read again after an error.
	rereadPause = 5 * time.Second
)

// told is the newest that was sent of a name out of its turn: because it has no position,
// or waited while something newer came.
type told struct {
	Mark recordstore.Mark
	Kind Kind // all that was said of that record
}

// receiver is the goroutine of one webhook, which owns the rows of it.
type receiver struct {
	all    *Webhooks
	hook   Webhook
	cancel context.CancelFunc
	over   chan struct{}
	orders chan func()

	waiting  map[string]letter // as in the rows, by name
	at       recordstore.Position
	saved    recordstore.Position
	saveNext time.Time

	mu       sync.Mutex // guards the fields below
	failures int        // in a row
	last     string     // error of the last of them
	took     time.Time  // when it took something last; zero: not since this process began
	pause    time.Duration
	paused   time.Time // until then nothing is sent
}

func (r *receiver) state() (failures int, last string, paused time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.paused.After(time.Now()) {
		return r.failures, r.last, time.Time{}
	}
	return r.failures, r.last, r.paused
}

// run sends what changes until ctx ends.
func (r *receiver) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.load(ctx)
		if err == nil {
			err = r.serve(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, context.Canceled) {
			return // the node stops
		}
		if !errors.Is(err, recordstore.ErrLease) && !errors.Is(err, recordstore.ErrConflict) {
			r.all.log().Warn("a webhook is not served for a moment", "webhook", r.hook.ID, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(rereadPause):
		}
	}
}

// load reads what an earlier run left.
func (r *receiver) load(ctx context.Context) error {
	if _, err := load(ctx, r.all.Rows, positionTable, r.hook.ID, &r.saved); err != nil {
		return err
	}
	r.at, r.waiting = r.saved, make(map[string]letter)
	for row, err := range r.all.Rows.Range(ctx, waitingTable, r.hook.ID+"/", r.hook.ID+"0") {
		var l letter
		if err == nil {
			err = json.Unmarshal(row.Value, &l)
		}
		if err != nil {
			return err
		}
		// Times of a clock that was ahead would have it wait until then.
		if now := time.Now(); l.Next.After(now.Add(2*lastRetry)) || l.Since.After(now) {
			l.Next = now
			if l.Since.After(now) {
				l.Since = now
			}
		}
		_, name := splitKey(row.Key)
		l.version = row.Version
		r.waiting[name] = l
	}
	return nil
}

// serve sends events as they come and those that wait, until ctx ends or the rows or the
// Book fail.
func (r *receiver) serve(ctx context.Context) error {
	names, err := r.hook.names()
	if err != nil {
		return err
	}
	reading, cancel := context.WithCancel(ctx)
	events := make(chan Event)
	failed := make(chan error, 1)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() {
		for e, err := range r.all.Names.Read(reading, Request{Since: r.saved, Names: names, Caller: "webhooks"}) {
			if err != nil {
				failed <- err
				return
			}
			select {
			case events <- e:
			case <-reading.Done():
				return
			}
		}
		failed <- context.Canceled // the node stops
	})
	var others <-chan time.Time // nil: no other process writes
	if r.all.Leases != nil {
		look := time.NewTicker(shareEvery)
		defer look.Stop()
		others = look.C
	}
	for {
		in := events
		_, _, paused := r.state()
		if len(r.waiting) >= MaxWaiting || !paused.IsZero() {
			in = nil // it waits in the Book, at most once a name
		}
		name, wait := r.due(paused)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case err = <-failed:
		case <-others:
			err = r.adopt(ctx)
		case do := <-r.orders:
			do()
		case e := <-in:
			err = r.take(ctx, e)
		case <-timer.C:
			if name != "" {
				err = r.again(ctx, name)
			}
		}
		timer.Stop()
		if err == nil && r.at != r.saved && !time.Now().Before(r.saveNext) {
			err = r.save(ctx)
		}
		if err != nil {
			// What was sent need not be sent again.
			return errors.Join(err, r.save(context.WithoutCancel(ctx)))
		}
	}
}

// save stores the position. Everything up to it was sent, or waits in a row.
func (r *receiver) save(ctx context.Context) error {
	if r.at == r.saved {
		return nil
	}
	if err := r.mayWrite(); err != nil {
		return err
	}
	if err := set(ctx, r.all.Rows, positionTable, r.hook.ID, r.at); err != nil {
		return err
	}
	r.saved, r.saveNext = r.at, time.Now().Add(savePause)
	return nil
}

// due returns the name to send next and how long that has time; without a name, when to
// look again.
func (r *receiver) due(paused time.Time) (name string, wait time.Duration) {
	var at time.Time
	for n, l := range r.waiting {
		if at.IsZero() || l.Next.Before(at) {
			name, at = n, l.Next
		}
	}
	if paused.After(at) && !paused.IsZero() {
		at = paused
	}
	if r.at != r.saved && (at.IsZero() || r.saveNext.Before(at)) {
		name, at = "", r.saveNext
	}
	if at.IsZero() {
		return "", time.Hour
	}
	return name, max(0, min(time.Until(at), time.Hour)) // a clock that jumps ahead or back is noticed
}

// take sends an event, or has it wait. It may be forgotten then.
func (r *receiver) take(ctx context.Context, e Event) error {
	switch {
	case e.Gap:
		// What changed in between is not known.
		if err := r.keep(ctx, "", letter{Next: time.Now(), At: e.Position}); err != nil {
			return err
		}
	case e.Kind != 0:
		if err := r.event(ctx, e); err != nil {
			return err
		}
	case time.Since(r.saveNext) < idleSave:
		return nil // not worth a write
	}
	r.at = e.Position
	return nil
}

func (r *receiver) event(ctx context.Context, e Event) error {
	name := e.Entry.Name.String()
	l := letter{Kind: e.Kind, Next: time.Now()}
	switch {
	case e.Entry.Record != nil:
		l.Record = e.Entry.Record.Raw()
	case e.Kind&Gone == 0:
		return nil // a key without a record
	default:
		l.At = e.Position
	}
	old, waits := r.waiting[name]
	if rec := old.record(name); rec != nil && e.Entry.Record != nil && recordstore.MarkOf(e.Entry.Record).Compare(recordstore.MarkOf(rec)) < 0 {
		return nil // a crash lost the mark of a name that is not held, and a search found less
	}
	positional := e.Kind == Changed && e.Entry.Version != 0
	if known, err := r.told(ctx, name, e); err != nil || known && !waits {
		return err
	}
	switch {
	case waits:
		// It keeps its time: the receiver is not to be hurried by changes.
		l.Next, l.Tries = old.Next, old.Tries
		if l.Kind&Changed == 0 {
			l.Kind |= old.Kind & Changed
		}
		return r.keep(ctx, name, l)
	case !positional:
		if err := r.keep(ctx, name, l); err != nil {
			return err
		}
		return r.again(ctx, name)
	}
	if err := r.mayWrite(); err != nil {
		return err
	}
	if err := r.send(ctx, name, l); err != nil {
		return r.failed(ctx, name, l, err)
	}
	return nil
}

// told reports whether what an event says was sent already.
func (r *receiver) told(ctx context.Context, name string, e Event) (bool, error) {
	rec := e.Entry.Record
	if rec == nil {
		return false, nil
	}
	var t told
	ok, err := load(ctx, r.all.Rows, toldTable, r.hook.ID+"/"+name, &t)
	if err != nil || !ok {
		return false, err
	}
	mark := recordstore.MarkOf(rec)
	if d := t.Mark.Compare(mark); d != 0 {
		return d > 0, nil
	}
	return t.Mark.Hash == mark.Hash && e.Kind&^t.Kind == 0, nil
}

// warn has a warning wait. There is nowhere else to wait for what is not a change of the
// Book: if too much waits already, it is a dead letter at once.
func (r *receiver) warn(ctx context.Context, name string, l letter) error {
	old, waits, err := r.waits(ctx, name)
	if err != nil {
		return err
	}
	if waits {
		l.Next, l.Tries, l.version = old.Next, old.Tries, old.version
		l.Kind |= old.Kind & Changed
	}
	if waits || len(r.waiting) < MaxWaiting {
		return r.keep(ctx, name, l)
	}
	l.Since, l.Error = time.Now(), "too much waits for this receiver"
	return set(ctx, r.all.Rows, deadTable, r.hook.ID+"/"+name, l)
}

// again sends what waits of a name, with its newest record.
func (r *receiver) again(ctx context.Context, name string) error {
	l, ok := r.waiting[name]
	if !ok || time.Now().Before(l.Next) {
		return nil
	}
	if !l.Since.IsZero() && time.Since(l.Since) > GiveUp {
		return r.giveUp(ctx, name, l)
	}
	if newer, err := r.newer(ctx, name, l); err != nil {
		return err
	} else if newer.Record != nil {
		l = newer
		if err := r.keep(ctx, name, l); err != nil {
			return err
		}
	}
	if err := r.mayWrite(); err != nil {
		return err
	}
	if err := r.send(ctx, name, l); err != nil {
		return r.failed(ctx, name, l, err)
	}
	if err := r.mayWrite(); err != nil {
		return err
	}
	return r.sent(ctx, name, l)
}

// failed has an event wait longer.
func (r *receiver) failed(ctx context.Context, name string, l letter, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // it was not the receiver
	}
	now := time.Now()
	if l.Since.IsZero() {
		l.Since = now
	}
	pause := firstRetry
	for range min(l.Tries, 30) {
		pause = min(pause*3/2, lastRetry)
	}
	l.Tries++
	l.Next, l.Error = now.Add(pause/2+rand.N(pause)), err.Error()
	return r.keep(ctx, name, l)
}

// sent notes what was sent of a name, and then forgets that it waited: a crash in between
// has it sent once more. Changes that are still to come may be older.
func (r *receiver) sent(ctx context.Context, name string, l letter) error {
	if rec := l.record(name); rec != nil {
		if err := r.tell(ctx, name, told{Mark: recordstore.MarkOf(rec), Kind: l.Kind}); err != nil {
			return err
		}
	}
	return r.drop(ctx, name)
}
