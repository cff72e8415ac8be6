package cluster

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Status is how the work on a store is shared.
type Status struct {
	Self    string // the ID of this daemon
	TTL     time.Duration
	Daemons []Holder // by the time they started
	Sectors []Sector // those that were ever leased, in order
	Error   string   // why this daemon cannot extend its leases now; "": it can
}

// Holder is a daemon with what it holds.
type Holder struct {
	Daemon
	Sectors []int         // of current leases
	Silent  time.Duration // since it gave a sign of life, as this daemon saw it
}

// Sector is the lease of a sector.
type Sector struct {
	Number int
	Holder string // the ID of a daemon; "": it was given up
	Epoch  uint64
	Left   time.Duration // 0: it has ended
}

// Status asks the store.
func (m *Member) Status(ctx context.Context) (Status, error) {
	s := Status{Self: m.Daemon.ID, TTL: m.ttl()}
	m.mu.Lock()
	if m.failing != nil {
		s.Error = m.failing.Error()
	}
	m.mu.Unlock()
	leases, err := m.Leaser.Leases(ctx)
	if err != nil {
		return s, err
	}
	holds := make(map[string][]int)
	for _, l := range leases {
		i, ok := sectorOf(l.Region)
		if !ok {
			continue
		}
		s.Sectors = append(s.Sectors, Sector{Number: i, Holder: l.Holder, Epoch: l.Epoch, Left: max(l.Left, 0)})
		if l.Left > 0 {
			holds[l.Holder] = append(holds[l.Holder], i)
		}
	}
	daemons, err := m.daemons(ctx)
	if err != nil {
		return s, err
	}
	now := m.clock()
	m.mu.Lock()
	for _, d := range daemons {
		s.Daemons = append(s.Daemons, Holder{Daemon: d, Sectors: holds[d.ID], Silent: now - m.seen[d.ID].at})
	}
	m.mu.Unlock()
	slices.SortFunc(s.Daemons, func(a, b Holder) int { return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID)) })
	return s, nil
}
