// Package republisher keeps the records of a node alive: it puts each of them
// on the network again before the servers forget it, and signs it again before
// it ends.
//
// # Turns
//
// The key space is cut into 64 sectors. In each period every sector has its turn, and
// all due names of the sector are then put together: a [routing.Sweeper] visits each
// server once, whatever the number of names. When a name is due follows from its
// Kademlia id, its period and its last put, all of which are in the store. There is no
// other state: what a crash leaves undone is due at the next start, and what was done
// is not.
//
// What was stored in an earlier generation of the store, before it was restored, is
// neither put nor renewed until others have been asked whether they have something
// newer: where many such names are due in a sector, by one visit to each server.
//
// Four parts run side by side. The scan reads, about every minute, the sectors in which
// something has happened or is due, and counts; it puts nothing. Signing renews
// records that are past half of their life, in the background, and holds up nothing
// else. Putting does what the last scan has found: new values first, then names near
// their EOL or with too few holders, then the sectors whose turn has come, at a pace
// that spreads the load. Asking finds out what others have of names that an earlier
// generation left.
//
// # Invariants
//
//   - The bytes of a record are put as they were signed. A renewal changes the
//     EOL and nothing else.
//   - Republishing never overtakes a publish: what is put is read just before,
//     and a renewal enters only if the entry is the one it was made from.
//   - What may be older than what the store has forgotten stays here.
//   - A newer record met on the way goes through the Book. It is reported, and
//     not fought.
//   - A name that fails delays no other name.
package republisher

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// Defaults and limits.
const (
	DefaultOwnPeriod    = 4 * time.Hour
	DefaultHostedPeriod = 12 * time.Hour
	DefaultWanted       = 15 // holders below which a name is put again soon
	DefaultConcurrency  = 32
	AtRiskHolders       = 10 // holders below which a name is at risk

	scanEvery    = time.Minute      // and
	scanShare    = 50               // at most one part in so many of the time
	rescan       = time.Hour        // also a sector in which nothing seems to happen
	firstScan    = 5 * time.Second  // after the network was joined
	unjoined     = time.Minute      // after the start, if it was not
	soonScan     = time.Second      // after names were signed, or answers came
	grace        = 3 * time.Minute  // in which a new record is left to its publisher
	lateAfter    = 5 * time.Minute  // that a name may wait before it counts as late
	failedWait   = 5 * time.Minute  // after nobody took anything
	firstRetry   = 5 * time.Minute  // of a name that too few took
	lastRetry    = time.Hour        // when there are many of them
	retryEvery   = time.Second / 3  // average gap between two retries
	putLimit     = 2 * time.Minute  // for one name
	sweepLimit   = 30 * time.Minute // for one batch
	looseBatch   = 1024             // names of several sectors that are put one by one
	sweepBatch   = 16_384           // names of one sector that are put together: some 60 MiB
	fewNames     = 16               // below which they are put one by one
	spread       = 2 * time.Minute  // over which routine names are put, at most
	copies       = 20               // of each name that are put, for its share of the load
	maxUrgent    = 4096             // names out of turn in one plan; the others wait for the next
	maxEnded     = 1024             // names of one sector that are forgotten after one scan
	forgetAtOnce = 64               // of them, how many share their writes to disk
	maxShort     = 65_536           // names that too few took: so many are counted
	allFailing   = 64               // names in a row for which nobody answered: the network is away
)

// Republisher keeps names alive. Set its fields before Run; all other methods
// may be called at any time.
type Republisher struct {
	// Book is the door to the store; it must be set.
	Book *names.Book
	// Router is where records are put; it must be set. One that is a
	// routing.Sweeper sweeps.
	Router routing.Router
	// Signers returns the signer of an own name. An error, or a nil Signers, means
	// that its record cannot be renewed: it is put as it is until it ends.
	Signers func(context.Context, ipns.Name) (ipns.Signer, error)
	// Now tells the time; nil: time.Now.
	Now func() time.Time
	// Log gets what somebody should know; nil: nothing.
	Log *slog.Logger

	// OwnPeriod and HostedPeriod are how often a name is put; 0: 4 h and 12 h.
	// Where servers forget names sooner, both are halved; where they keep them,
	// the period of hosted names is doubled.
	OwnPeriod, HostedPeriod time.Duration
	// Joined receives a value each time the network is joined: a scan then follows
	// soon, and what waited for the network goes on. Nil: the network is there when
	// Run begins.
	Joined <-chan struct{}
	// Lifetime is for which own records are renewed if it is not known for how long
	// they were signed here; 0: ipns.DefaultLifetime.
	Lifetime time.Duration
	// Wanted is how many holders a name should have; 0: DefaultWanted. Of a
	// network that has fewer servers, all.
	Wanted int
	// Concurrency is how many names are put at once where they are put one by
	// one; 0: DefaultConcurrency.
	Concurrency int

	once sync.Once
	news chan struct{} // has an element when there is something new to do
	soon chan struct{} // has an element when a scan will find something new

	questions chan []question // is received from while nobody is asked

	mu        sync.Mutex // guards all below
	began     time.Time  // when Run did
	views     [sectors]view
	scannedAt time.Time // when all of them were up to date
	rested    time.Time // before then another scan would take too much of the time
	counts    counts
	survival  [sectors]survival
	short     map[ipns.Name]struct{}  // names that too few took last time
	renewing  map[ipns.Name]time.Time // names that are being signed, since when
	unsigned  map[ipns.Name]postponed // names whose renewal failed
	signed    map[ipns.Name][32]byte  // renewals that were not put yet; at most maxRenewals
	unasked   map[ipns.Name]postponed // names that too few answered for
	askAfter  time.Time               // nobody is asked before
	paused    time.Time               // nothing is put before
	failing   int                     // names in a row that nobody took
	cursor    int                     // the sector to begin with
}

func (r *Republisher) init() {
	r.once.Do(func() {
		r.news = make(chan struct{}, 1)
		r.short = make(map[ipns.Name]struct{})
		r.soon = make(chan struct{}, 1)
		r.questions = make(chan []question)
		r.unsigned = make(map[ipns.Name]postponed)
		r.signed = make(map[ipns.Name][32]byte)
		r.unasked = make(map[ipns.Name]postponed)
		r.renewing = make(map[ipns.Name]time.Time)
		r.counts.reasons = make(map[string]uint64)
	})
}

func (r *Republisher) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

func (r *Republisher) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}

// Run keeps the names alive until ctx ends, and returns when all it started has
// ended.
func (r *Republisher) Run(ctx context.Context) error {
	r.init()
	if r.Book == nil || r.Router == nil {
		return errors.New("republisher: Book and Router must be set")
	}
	r.mu.Lock()
	r.began = r.now()
	r.mu.Unlock()
	var parts sync.WaitGroup
	defer parts.Wait()
	signing := newSigning(r)
	defer signing.wait()
	parts.Go(func() { r.put(ctx) })
	parts.Go(func() { r.ask(ctx) })
	// Sectors in which nothing happens are not read again.
	defer r.Book.Subscribe(func(c names.Change) {
		if c.Entry.Origin >= recordstore.Hosted {
			r.touch(c.Entry.Name)
		}
	})()
	first := firstScan
	if r.Joined != nil {
		first = unjoined
	}
	now := time.Now()
	next, rested := now.Add(min(first, r.ownPeriod())), now
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.Joined:
			r.joined()
			next = earlier(next, time.Now().Add(min(firstScan, r.ownPeriod())))
			continue
		case <-r.soon:
			at := time.Now().Add(soonScan)
			if rested.After(at) {
				at = rested
			}
			next = earlier(next, at)
			continue
		case <-time.After(time.Until(next)):
		}
		begin := time.Now()
		if err := r.look(ctx, signing); err != nil {
			return nil
		}
		rest := scanShare * time.Since(begin)
		rested = time.Now().Add(rest)
		next = time.Now().Add(max(scanEvery, rest))
	}
}

// look scans, and has those begin who have something to do then. Its error is that
// of ctx.
func (r *Republisher) look(ctx context.Context, signing *signing) error {
	if err := r.scan(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// A store that fails is asked again; what it told before still holds.
		r.log().Error("looking for names to republish", "error", err)
	}
	p := r.makePlan()
	r.endHosted(ctx, p.ended)
	r.pace(p) // also that of what is being put now
	signing.begin(ctx, p.renew)
	select {
	case r.questions <- p.ask:
	default: // those of an earlier plan are being asked for
	}
	select {
	case r.news <- struct{}{}:
	default:
	}
	return nil
}

// joined ends the waiting for the network.
func (r *Republisher) joined() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused, r.askAfter, r.failing = time.Time{}, time.Time{}, 0
	for i := range r.views {
		r.views[i].dirty = true
	}
}

// changed has the sector of a name looked at soon.
func (r *Republisher) changed(name ipns.Name) {
	r.touch(name)
	r.hurry()
}

// hurry has Run scan soon.
func (r *Republisher) hurry() {
	select {
	case r.soon <- struct{}{}:
	default:
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (r *Republisher) ownPeriod() time.Duration    { return or(r.OwnPeriod, DefaultOwnPeriod) }
func (r *Republisher) hostedPeriod() time.Duration { return or(r.HostedPeriod, DefaultHostedPeriod) }
func (r *Republisher) wanted() int                 { return or(r.Wanted, DefaultWanted) }

// or returns v, or what stands for its zero value.
func or[T time.Duration | int](v, zero T) T {
	if v <= 0 {
		return zero
	}
	return v
}
