package recordstore

import (
	"context"
	"fmt"
	"slices"
	"time"
)

var _ Leaser = (*Memory)(nil)

// leased is a region that was leased from a Memory.
type leased struct {
	Lease
	until time.Time
}

// CheckLease checks what a Leaser is asked for.
func CheckLease(holder string, ttl time.Duration) error {
	if holder == "" || len(holder) > MaxHolder || ttl <= 0 || ttl > MaxLease {
		return fmt.Errorf("lease for %.80q: it must have a holder of up to %d bytes and last up to %v, not %v", holder, MaxHolder, MaxLease, ttl)
	}
	return nil
}

// Lease implements Leaser.
func (m *Memory) Lease(ctx context.Context, holder string, ttl time.Duration, regions ...Region) (list []Lease, err error) {
	if err := CheckLease(holder, ttl); err != nil {
		return nil, err
	}
	err = m.do(ctx, OpLease, noName, func() error {
		now := time.Now()
		for _, r := range regions {
			l := m.leases[r]
			current := l.until.After(now)
			if current && l.Holder != holder {
				continue
			}
			if !current {
				l.Lease = Lease{Region: r, Holder: holder, Epoch: l.Epoch + 1}
			}
			l.until = now.Add(ttl)
			if m.leases == nil {
				m.leases = make(map[Region]leased)
			}
			m.leases[r] = l
			list = append(list, l.Lease)
		}
		return nil
	})
	return list, err
}

// Release implements Leaser.
func (m *Memory) Release(ctx context.Context, leases ...Lease) error {
	return m.do(ctx, OpLease, noName, func() error {
		for _, old := range leases {
			if l := m.leases[old.Region]; l.Lease == old && old.Epoch != 0 {
				l.Holder, l.until = "", time.Time{}
				m.leases[old.Region] = l
			}
		}
		return nil
	})
}

// Leases implements Leaser.
func (m *Memory) Leases(ctx context.Context) (list []Leased, err error) {
	err = m.do(ctx, OpLease, noName, func() error {
		now := time.Now()
		for _, l := range m.leases {
			list = append(list, Leased{l.Lease, l.until.Sub(now)})
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Leased) int { return a.Region.Prefix.Compare(b.Region.Prefix) })
	return list, err
}

// holds returns ErrLease unless a lease is none, or a current one of a region with the name's
// key. Call with mu held.
func (m *Memory) holds(l Lease, e Entry) error {
	if l == (Lease{}) {
		return nil
	}
	if now := m.leases[l.Region]; now.Lease != l || !now.until.After(time.Now()) || !l.Region.Contains(e.Name.Kad()) {
		return fmt.Errorf("swap %s: %w", e.Name, ErrLease)
	}
	return nil
}
