package ladder

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// Limits of a Keeper.
const (
	MaxKept = 65_536 // steps of all ladders together

	keepEnded   = 90 * 24 * time.Hour // for which a ladder that has ended is shown
	checkEvery  = time.Minute         // a clock that was set is noticed after that
	retryEvery  = time.Minute
	reloadEvery = 5 * time.Minute     // where others may take ladders
	orphanFor   = 10 * time.Minute    // a step of no ladder stays for so long there: one may be taken
	mendEvery   = time.Hour           // a step that cannot be used is read again after that
	writers     = 64                  // rows written at once
	maxWarning  = 45 * 24 * time.Hour // before its end, or a quarter of its length: a ladder is at risk
)

// ErrFull means that no more steps can be kept.
var ErrFull = fmt.Errorf("the ladders here have no room for more than %d steps together", MaxKept)

// Keeper stores ladders and releases their steps in time. Set its fields before the first
// use. It is safe for concurrent use.
type Keeper struct {
	Book *names.Book
	Rows recordstore.Rows
	// Put enters a record into the Book and announces it.
	Put func(context.Context, *ipns.Record) error
	// Ask asks the network for the newest record of a name and enters it into the Book. It
	// returns nil if enough servers answered. It is asked once for each name after the store
	// was restored.
	Ask func(context.Context, ipns.Name) error
	// Clock returns why the clock is wrong, or nil; then nothing is released. nil: it is
	// right.
	Clock func() error
	// Leases say which names this process looks after, where several share the store; nil:
	// all. Then what others have taken is read again every reloadEvery.
	Leases Leases
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: nothing is logged

	once    sync.Once
	wake    chan struct{}
	loading chan struct{} // holds one element while Load reads: it must not see half a Take

	mu     sync.Mutex // guards all below
	loaded bool
	readAt time.Time // when the ladders were last read; by the process's clock
	kept   map[ipns.Name]*kept
	// orphans are the steps of no ladder that Load has left, since when.
	orphans map[string]time.Time
}

// kept is what a Keeper has in memory of a ladder. Its rows are read again for each release.
type kept struct {
	steps   []summary
	over    int       // the steps below this one were released, or something newer was
	asked   bool      // the network was asked in this generation of the store
	problem string    // what is wrong with the stored ladder
	cut     bool      // its list is not as it was signed, so its end is not known
	waiting string    // why a step that is due is not released
	retry   time.Time // no release before; by the process's clock, whatever Now says
}

// summary is what is needed of a step to decide when it is due.
type summary struct {
	at   time.Time
	mark recordstore.Mark
}

func (k *Keeper) init() {
	k.once.Do(func() {
		k.wake, k.loading = make(chan struct{}, 1), make(chan struct{}, 1)
		k.kept = make(map[ipns.Name]*kept)
	})
}

func (k *Keeper) now() time.Time {
	if k.Now == nil {
		return time.Now()
	}
	return k.Now()
}

func (k *Keeper) log() *slog.Logger {
	if k.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return k.Log
}

// Run releases steps in time until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	k.init()
	var changed <-chan struct{}
	if k.Leases != nil {
		changed = k.Leases.Changed()
	}
	for {
		k.reload(false)
		next := k.now().Add(retryEvery)
		if err := k.Load(ctx); err == nil {
			next = k.releaseAll(ctx)
		} else if ctx.Err() == nil {
			k.log().Error("ladders cannot be read", "error", err)
		}
		timer := time.NewTimer(min(max(next.Sub(k.now()), 0), checkEvery))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-k.wake:
			timer.Stop()
		case <-changed:
			timer.Stop()
			k.reload(true)
		case <-timer.C:
		}
	}
}

// releaseAll releases what is due, and returns when to look again at the latest.
func (k *Keeper) releaseAll(ctx context.Context) (next time.Time) {
	now := k.now()
	next = now.Add(checkEvery)
	k.mu.Lock()
	var due, ended []ipns.Name
	for name, held := range k.kept {
		if end := held.end(); !end.IsZero() && now.Sub(end) > keepEnded {
			ended = append(ended, name)
			continue
		}
		i := held.due(now)
		if i >= held.over && k.holds(name) && !held.retry.After(time.Now()) {
			due = append(due, name)
		}
		if i+1 < len(held.steps) && held.steps[i+1].at.Before(next) {
			next = held.steps[i+1].at
		}
	}
	k.mu.Unlock()
	for _, name := range ended {
		if err := k.forget(ctx, name); err != nil && ctx.Err() == nil {
			k.log().Warn("a ladder that has ended is not removed", "name", name.String(), "error", err)
		}
	}
	for _, name := range due {
		if ctx.Err() != nil {
			return next
		}
		if err := k.release(ctx, name); err != nil && ctx.Err() == nil {
			k.log().Warn("a step of a ladder is not released", "name", name.String(), "error", err)
		}
	}
	return next
}

// due returns the index of the last step whose release has come, or -1.
func (h *kept) due(now time.Time) int {
	for i := len(h.steps) - 1; i >= 0; i-- {
		if !h.steps[i].at.After(now) {
			return i
		}
	}
	return -1
}

// release releases what is due of one ladder.
func (k *Keeper) release(ctx context.Context, name ipns.Name) error {
	rec, err := k.Due(ctx, name)
	if err == nil && rec != nil {
		if err = k.Put(ctx, rec); err == nil {
			k.log().Info("released a step of a ladder", "name", name.String(), "sequence", rec.Sequence(), "EOL", rec.EOL())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	held := k.kept[name]
	if held == nil {
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	if held.waiting = ""; err != nil {
		held.waiting, held.retry = err.Error(), time.Now().Add(retryEvery)
	}
	return err
}

// Due returns the record of the newest step of a name's ladder whose release has come, if
// it is newer than what the Book has; nil: nothing is to be released now.
func (k *Keeper) Due(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	if err := k.Load(ctx); err != nil {
		return nil, err
	}
	if k.Clock != nil {
		if err := k.Clock(); err != nil {
			return nil, err
		}
	}
	if err := k.ask(ctx, name); err != nil {
		return nil, fmt.Errorf("after a restore, the network must be asked first: %w", err)
	}
	have, err := k.mark(ctx, name)
	if err != nil {
		return nil, err
	}
	now := k.now()
	k.mu.Lock()
	held := k.kept[name]
	k.mu.Unlock()
	s, err := k.read(ctx, name)
	if errors.Is(err, recordstore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if held == nil || k.kept[name] != held {
		return nil, nil // another ladder was taken meanwhile, and Run looks again
	}
	held.problem, held.cut = s.problem(), s.cut
	// The newest step that is as it was signed: one that was changed stops no other.
	i := held.due(now)
	for ; i >= held.over; i-- {
		switch rec := s.at(i, held.steps[i]); {
		case held.steps[i].mark.Compare(have) <= 0:
			held.over = i + 1
			return nil, nil
		case rec == nil || rec.Expired(now):
		default:
			return rec, nil
		}
	}
	// Nothing of what is due is usable; it is looked at again, for it may be repaired.
	held.retry = time.Now().Add(mendEvery)
	return nil, nil
}

// Ahead yields the records of all ladders that are to be released, and those that are the
// newest of their names.
func (k *Keeper) Ahead(ctx context.Context) iter.Seq2[*ipns.Record, error] {
	return func(yield func(*ipns.Record, error) bool) {
		if err := k.Load(ctx); err != nil {
			yield(nil, err)
			return
		}
		k.mu.Lock()
		all := maps.Clone(k.kept)
		k.mu.Unlock()
		for name, held := range all {
			s, err := k.read(ctx, name)
			var have recordstore.Mark
			if err == nil {
				have, err = k.mark(ctx, name)
			}
			if errors.Is(err, recordstore.ErrNotFound) { // it has ended meanwhile
				continue
			}
			if err != nil {
				yield(nil, fmt.Errorf("the ladder of %s: %w", name, err))
				return
			}
			for i := max(0, held.due(k.now())); i < len(s.recs); i++ {
				if rec := s.recs[i]; rec != nil && recordstore.MarkOf(rec).Compare(have) >= 0 && !yield(rec, nil) {
					return
				}
			}
		}
	}
}

// at returns the record of a step; nil: it is missing, or not as it was when it was taken.
func (s *stored) at(i int, want summary) *ipns.Record {
	if i >= len(s.recs) || s.recs[i] == nil || !s.ats[i].Equal(want.at) || recordstore.MarkOf(s.recs[i]).Compare(want.mark) != 0 {
		return nil
	}
	return s.recs[i]
}

// mark returns the highest version of a name that is known.
func (k *Keeper) mark(ctx context.Context, name ipns.Name) (recordstore.Mark, error) {
	e, err := k.Book.Get(ctx, name)
	if err == nil {
		return e.Mark, nil
	}
	if errors.Is(err, recordstore.ErrNotFound) {
		return k.Book.Seen(ctx, name)
	}
	return recordstore.Mark{}, err
}

// ask asks the network for a name whose ladder is from an earlier generation of the store.
func (k *Keeper) ask(ctx context.Context, name ipns.Name) error {
	k.mu.Lock()
	held := k.kept[name]
	asked := held == nil || held.asked
	k.mu.Unlock()
	if asked {
		return nil
	}
	if k.Ask == nil {
		return errors.New("there is no network")
	}
	if err := k.Ask(ctx, name); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	held.asked = true
	return nil
}

// notify makes Run look again.
func (k *Keeper) notify() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}
