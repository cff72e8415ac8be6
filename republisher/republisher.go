// Package republisher keeps the records of a node alive: it puts each of them on the
// network again before servers forget it, and renews it before it expires.
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
// Entries from an earlier generation of the store (before a restore) are neither put
// nor renewed until servers have been asked for newer records. If a sector has many
// such names, that takes one visit to each server.
//
// Four parts run concurrently. The scan reads, about once a minute, the sectors in which
// something has changed or is due; it only collects work and figures. Signing renews
// records in the background, and asks in each period for the signers of keys that are
// elsewhere, so that a slow one delays nothing else and one that is away is known in time. Putting follows
// the last scan: new values first, then names near their EOL or with too few holders,
// then the sectors whose turn has come, at a pace that spreads the load. Asking searches
// for newer records of the names from an earlier generation.
//
// # Invariants
//
//   - The bytes of a record are put as they were signed. A renewal changes the
//     EOL and nothing else.
//   - Republishing never overtakes a publish: what is put is read just before,
//     and a renewal enters only if the entry is the one it was made from.
//   - A record that may be older than one the store has lost is not put.
//   - A newer record found on the network goes through the Book. It is reported, not
//     overwritten.
//   - A failing name does not delay other names.
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

	scanEvery    = time.Minute      // minimum pause between scans
	scanShare    = 50               // and the pause is at least this many times as long as the scan
	rescan       = time.Hour        // after which even an unchanged sector is scanned
	firstScan    = 5 * time.Second  // delay of the scan after the network was joined
	unjoined     = time.Minute      // delay of the first scan if the network is not joined
	soonScan     = time.Second      // delay of the scan after signing or answers
	grace        = 3 * time.Minute  // for which a new record is left to its publisher
	lateAfter    = 5 * time.Minute  // after which a due name counts as late
	failedWait   = 5 * time.Minute  // pause when the network seems away
	firstRetry   = 5 * time.Minute  // shortest delay before a retry
	lastRetry    = time.Hour        // longest delay before a retry
	othersRetry  = 5 * time.Minute  // shortest delay before others than those that count are tried again
	retryEvery   = time.Second / 3  // average gap between two retries
	putLimit     = 2 * time.Minute  // timeout for one name
	sweepLimit   = 30 * time.Minute // timeout for one batch
	looseBatch   = 1024             // names of several sectors in a batch
	sweepBatch   = 16_384           // names of one sector in a batch: about 60 MiB
	fewNames     = 16               // names of one sector below which no sweep is made
	spread       = 2 * time.Minute  // maximum time over which routine names are spread
	copies       = 20               // servers per name, to compute the pace
	maxUrgent    = 4096             // urgent names in one plan; the others go with their sectors
	maxEnded     = 1024             // expired hosted names removed per sector and scan
	forgetAtOnce = 64               // of them, removed concurrently to share disk writes
	maxShort     = 65_536           // bounds Republisher.short
	allFailing   = 64               // names in a row without an answer: the network is away
)

// Republisher keeps names alive. Set its fields before Run; all other methods
// may be called at any time.
type Republisher struct {
	// Book holds the records; it must be set.
	Book *names.Book
	// Router puts records; it must be set. If it is a routing.Sweeper, many names of a
	// sector are put by a sweep.
	Router routing.Router
	// Signers returns the signer of an own name. If it is nil or fails, the record
	// cannot be renewed and is put unchanged until it expires.
	Signers func(context.Context, ipns.Name) (ipns.Signer, error)
	// Ready reports whether the key of an own name is in this process and can sign; nil: all
	// are. The Signers of other names are asked for in each period, so that names whose key
	// cannot sign are at risk long before they need it, and delay no others.
	Ready func(ipns.Name) bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Clock tells whether Now is right; nil: nobody knows. While it is wrong, nothing is
	// renewed, and records are put as they are.
	Clock Clock
	// Leases are the sectors to look after, where several processes share the store; nil: all.
	Leases Leases
	// Outlook says what else is known of a name's future; nil: nothing.
	Outlook func(recordstore.Entry) Outlook
	// Log may be nil.
	Log *slog.Logger

	// OwnPeriod and HostedPeriod are how often a name is put; 0: 4 h and 12 h.
	// If servers forget names sooner, both are halved; if they keep names well, the
	// period of hosted names is doubled.
	OwnPeriod, HostedPeriod time.Duration
	// Joined receives a value each time the network is joined: puts resume and a scan
	// follows soon. Nil: the network is joined when Run begins.
	Joined <-chan struct{}
	// Lifetime is the lifetime of renewed records for which the store has no span;
	// 0: ipns.DefaultLifetime.
	Lifetime time.Duration
	// Wanted is how many holders a name should have; 0: DefaultWanted. In a network
	// with fewer servers, all of them.
	Wanted int
	// Concurrency is how many names are put at once outside of sweeps;
	// 0: DefaultConcurrency.
	Concurrency int

	once sync.Once
	news chan struct{} // signals a new plan
	soon chan struct{} // signals that a scan will find something new

	scanning chan struct{} // has an element while a scan runs

	questions chan []question // received from only while no questions are in progress

	mu        sync.Mutex // guards all below
	began     time.Time  // when Run did
	scans     [sectors]sectorScan
	scannedAt time.Time // end of the last scan
	rested    time.Time // no scan before this time; see scanShare
	counts    counts
	survival  [sectors]survival
	short     map[ipns.Name]struct{}  // names that too few took last time
	renewing  map[ipns.Name]time.Time // start times of the renewals and probes in progress
	unsigned  map[ipns.Name]postponed // names whose renewal failed
	probed    map[ipns.Name]postponed // names whose key is not Ready, and why it cannot sign
	signed    map[ipns.Name][32]byte  // renewals not put yet; at most maxRenewals
	unasked   map[ipns.Name]postponed // names for which too few servers answered
	askAfter  time.Time               // no questions before
	paused    time.Time               // no puts before
	failing   int                     // names in a row without an answer
	wrong     bool                    // the clock was wrong when last checked
	cursor    int                     // the sector to start with
	working   [sectors]int            // batches and questions in progress
}

func (r *Republisher) init() {
	r.once.Do(func() {
		r.news = make(chan struct{}, 1)
		r.short = make(map[ipns.Name]struct{})
		r.soon = make(chan struct{}, 1)
		r.scanning = make(chan struct{}, 1)
		r.questions = make(chan []question)
		r.unsigned = make(map[ipns.Name]postponed)
		r.probed = make(map[ipns.Name]postponed)
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

// Run keeps the names alive until ctx ends. It returns when its goroutines have ended.
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
	// Only changed sectors are scanned again.
	defer r.Book.Subscribe(func(c names.Change) {
		if c.Entry.Origin >= recordstore.Hosted {
			r.touch(c.Entry.Name)
		}
	})()
	first := firstScan
	if r.Joined != nil {
		first = unjoined
	}
	changed := r.changedLeases()
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
		case <-changed:
			next = earlier(next, time.Now()) // what was gained may be late already
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

// look scans and starts the resulting work. Its only error is that of ctx.
func (r *Republisher) look(ctx context.Context, signing *signing) error {
	if err := r.scan(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// The next scan retries; until then the earlier scans still hold.
		r.log().Error("looking for names to republish", "error", err)
	}
	p := r.makePlan()
	r.endHosted(ctx, p.ended)
	r.pace(p) // also applies to the sweep in progress
	signing.begin(ctx, p)
	select {
	case r.questions <- p.ask:
	default: // the questions of an earlier plan are still in progress
	}
	select {
	case r.news <- struct{}{}:
	default:
	}
	return nil
}

// joined ends all pauses caused by an absent network.
func (r *Republisher) joined() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused, r.askAfter, r.failing = time.Time{}, time.Time{}, 0
	for i := range r.scans {
		r.scans[i].dirty = true
	}
}

// changed requests a scan of a name's sector soon.
func (r *Republisher) changed(name ipns.Name) {
	r.touch(name)
	r.hurry()
}

// hurry makes Run scan soon.
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

// or returns v, or zero if v is not positive.
func or[T time.Duration | int](v, zero T) T {
	if v <= 0 {
		return zero
	}
	return v
}
