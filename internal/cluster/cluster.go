// Package cluster shares the work on the names of one store among several daemons.
//
// The key space has 64 sectors. Each is leased by one daemon at a time, a [Member], which
// puts and renews the records of its names. Members extend their leases every few seconds;
// the sectors of one that has died go to the others when its leases have ended, those of
// one that stops at once. Sectors are shared evenly among the members that live: who has
// more than its share gives some up when another has fewer.
//
// Publishes need no lease: of two at once, the version of the entry lets one win.
//
// Invariants:
//   - A member counts its leases from before it asked for them, by [SinceBoot]. What it
//     holds, no other holds, whatever the clocks of machines say, and however long it was
//     stopped or cut off from the store.
//   - Whether a member is alive is told from its leases, which the store ends, or from its
//     row having changed within a lease's time, by the reader's own clock. Times of other
//     machines decide nothing.
//   - A daemon that beats takes leases: both happen in one loop.
package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/goipns/ipns/recordstore"
)

const (
	// DefaultTTL is how long a lease lasts: a sector whose holder dies has none for at most
	// that long, about.
	DefaultTTL = 15 * time.Second

	renewals   = 3  // extensions within the time of a lease
	askLimits  = 3  // what is asked of the store is answered within a third of a lease
	looks      = 15 // at the leases of others, within the time of a lease
	settle     = 20 * time.Millisecond
	again      = 100 * time.Millisecond // after sectors were asked for
	leaveLimit = 3 * time.Second        // for leaving
	doneLimit  = 2 * time.Second        // for work to end in a sector that is given up
)

// Member is this process among the daemons that share a store. Set its fields before Run;
// its methods may be called at any time after New.
type Member struct {
	Leaser recordstore.Leaser // required
	Rows   recordstore.Rows   // required
	// Daemon is what others are told of this one. ID is made by New.
	Daemon Daemon
	// About returns what changes of Daemon; nil: nothing. It must be quick.
	About func(context.Context) Figures
	// TTL is how long leases last; 0: DefaultTTL.
	TTL time.Duration
	Log *slog.Logger // nil: nothing is logged

	*sectors

	mu      sync.Mutex // guards all below
	seen    map[string]beat
	free    [Sectors]time.Duration // since when a sector has no holder, by the clock; 0: it has one
	failing error                  // of the last round
}

// New returns the member that a process is from its start to its end. clock is SinceBoot,
// or another one in tests.
func New(leaser recordstore.Leaser, rows recordstore.Rows, clock func() time.Duration) *Member {
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails
	return &Member{
		Leaser: leaser, Rows: rows, Daemon: Daemon{ID: hex.EncodeToString(id[:])},
		sectors: newSectors(clock), seen: make(map[string]beat),
	}
}

func (m *Member) ttl() time.Duration {
	if m.TTL <= 0 {
		return DefaultTTL
	}
	return m.TTL
}

func (m *Member) log() *slog.Logger {
	if m.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return m.Log
}

// Run takes part until ctx ends, and then gives up all sectors.
func (m *Member) Run(ctx context.Context) error {
	if m.Leaser == nil || m.Rows == nil {
		return errors.New("cluster: Leaser and Rows must be set")
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { m.watch(ctx) })
	defer m.leave(context.WithoutCancel(ctx))
	renew := m.clock()
	for {
		next, err := m.round(ctx, &renew)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			next = m.ttl() / looks
		}
		m.failed(err)
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// failed notes how a round went, and logs when that changes.
func (m *Member) failed(err error) {
	m.mu.Lock()
	was := m.failing
	m.failing = err
	m.mu.Unlock()
	switch {
	case err != nil && was == nil:
		m.log().Warn("leases cannot be extended: names are left to other daemons when they end", "error", err)
	case err == nil && was != nil:
		m.log().Info("leases are extended again")
	}
}

// round extends the leases if that is due, and takes or gives up sectors so that each
// daemon has its share. It returns when to look again.
func (m *Member) round(ctx context.Context, renew *time.Duration) (next time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.ttl()/askLimits)
	defer cancel()
	begin := m.clock()
	due := begin >= *renew
	if held := m.list(); due && len(held) > 0 {
		if err := m.ask(ctx, held); err != nil {
			return 0, err
		}
	}
	leases, err := m.Leaser.Leases(ctx)
	if err != nil {
		return 0, err
	}
	if due { // only now: who beats must be able to take leases
		if err := m.beat(ctx); err != nil {
			return 0, err
		}
		*renew = begin + m.ttl()/renewals
	}
	others, err := m.daemons(ctx)
	if err != nil {
		return 0, err
	}
	s := m.standing(leases, others)
	take := s.take(m.Daemon.ID)
	if len(take) > 0 {
		if err := m.ask(ctx, take); err != nil {
			return 0, err
		}
	}
	if err := m.giveUp(ctx, s.giveUp(m.Daemon.ID, m.list)); err != nil {
		return 0, err
	}
	next = min(*renew-m.clock(), m.ttl()/looks)
	if len(take) > 0 { // others may have had some of them
		next = min(next, again)
	}
	if s.next > 0 {
		next = min(next, s.next+settle)
	}
	return max(next, settle), nil
}

// ask leases sectors, or extends their leases. Those that the store does not give are lost.
func (m *Member) ask(ctx context.Context, list []int) error {
	slices.Sort(list)
	regions := make([]recordstore.Region, len(list))
	for i, sector := range list {
		regions[i] = regionOf(sector)
	}
	before := m.clock()
	got, err := m.Leaser.Lease(ctx, m.Daemon.ID, m.ttl(), regions...)
	if err != nil {
		return err
	}
	m.given(got, before, m.ttl())
	lost := slices.DeleteFunc(list, func(sector int) bool {
		return slices.ContainsFunc(got, func(l recordstore.Lease) bool { return l.Region == regionOf(sector) })
	})
	m.drop(lost)
	return nil
}

// giveUp gives sectors to others: what goes on in them ends first, if that takes no long
// time, so that its results are known to the next holder.
func (m *Member) giveUp(ctx context.Context, list []int) error {
	leases, running := m.drop(list)
	if len(leases) == 0 {
		return nil
	}
	limit := time.NewTimer(min(doneLimit, m.ttl()/renewals))
	defer limit.Stop()
	for _, w := range running {
		select {
		case <-w.over:
			continue
		case <-limit.C:
		case <-ctx.Done():
		}
		break
	}
	return m.Leaser.Release(ctx, leases...)
}

// leave gives up all sectors, and takes this daemon off the list.
func (m *Member) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveLimit)
	defer cancel()
	err := m.giveUp(ctx, m.list())
	if err == nil {
		err = m.gone(ctx)
	}
	if err != nil {
		m.log().Warn("the sectors of this daemon are taken over when its leases end", "error", err)
	}
}

// standing is how the sectors are shared.
type standing struct {
	share map[string]int // of the sectors, by the members that live
	ranks []string       // those members
	has   map[string]int // sectors held
	free  []int          // sectors without a holder
	stuck []int          // those of them that have had none for long
	ours  []int          // leases of this daemon that it does not know it has
	next  time.Duration  // until the next lease of another ends; 0: none does
}

// standing works out how the sectors are shared among the members that live.
func (m *Member) standing(leases []recordstore.Leased, others []Daemon) standing {
	s := standing{share: make(map[string]int), has: make(map[string]int)}
	now := m.clock()
	known := make(map[string]bool) // holders of leases; true: current ones
	var holder [Sectors]bool
	for _, l := range leases {
		i, ok := sectorOf(l.Region)
		if !ok || l.Holder == "" {
			continue
		}
		known[l.Holder] = known[l.Holder] || l.Left > 0
		if l.Left <= 0 {
			continue
		}
		holder[i] = true
		s.has[l.Holder]++
		if l.Holder != m.Daemon.ID {
			if s.next == 0 || l.Left < s.next {
				s.next = l.Left
			}
		} else if _, held := m.Held(l.Region); !held {
			s.ours = append(s.ours, i)
		}
	}
	m.mu.Lock()
	for i := range holder {
		switch {
		case holder[i]:
			m.free[i] = 0
			continue
		case m.free[i] == 0:
			m.free[i] = max(now, 1)
		case now-m.free[i] > m.ttl():
			s.stuck = append(s.stuck, i)
		}
		s.free = append(s.free, i)
	}
	for _, d := range others {
		current, holds := known[d.ID]
		alive := current || !holds && now-m.seen[d.ID].at <= m.ttl()
		if d.Takes && (alive || d.ID == m.Daemon.ID) {
			s.ranks = append(s.ranks, d.ID)
		}
	}
	m.mu.Unlock()
	for id, current := range known { // one that is not on the list yet
		if current && !slices.ContainsFunc(others, func(d Daemon) bool { return d.ID == id }) {
			s.ranks = append(s.ranks, id)
		}
	}
	slices.Sort(s.ranks)
	for i, id := range s.ranks {
		s.share[id] = Sectors / len(s.ranks)
		if i < Sectors%len(s.ranks) {
			s.share[id]++
		}
	}
	return s
}

// take returns the sectors that a member should ask for.
func (s *standing) take(id string) []int {
	share, member := s.share[id]
	if !member {
		return nil
	}
	list := slices.Clone(s.ours)
	if n := len(s.free); n > 0 {
		// Each begins elsewhere, so that not all want the same.
		first := slices.Index(s.ranks, id) * n / len(s.ranks)
		for i := range min(n, max(share-s.has[id], 0)) {
			list = append(list, s.free[(first+i)%n])
		}
	}
	// Better more than a share than a sector that nobody looks after.
	for _, i := range s.stuck {
		if !slices.Contains(list, i) {
			list = append(list, i)
		}
	}
	return list
}

// giveUp returns the sectors that a member should give up, if another lacks some.
func (s *standing) giveUp(id string, list func() []int) []int {
	lack := -len(s.free)
	for _, other := range s.ranks {
		lack += max(s.share[other]-s.has[other], 0)
	}
	more := min(s.has[id]-s.share[id], lack)
	if more <= 0 {
		return nil
	}
	held := list()
	return held[:min(more, len(held))]
}
