package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/republisher"
)

const (
	// Table has a row for each daemon, by ID.
	Table = "daemons"

	// MaxDaemons bounds the daemons that share a store.
	MaxDaemons = 256
	// forgetAfter is after how many times of a lease without a sign of life a daemon is
	// taken off the list.
	forgetAfter = 20
)

// Daemon is what the daemons of a store know of one of them.
type Daemon struct {
	ID      string // of its process
	Peer    string // its peer id
	Version string
	Started time.Time // by its own clock
	// Takes says that it takes sectors: it has a network.
	Takes   bool
	Figures Figures
}

// Figures are what a daemon says of itself every few seconds.
type Figures struct {
	Ready   bool
	Why     string `json:",omitempty"` // it is not ready
	Names   int    // in its sectors
	Due     int    // of them, to be put now
	Late    int    // of those, for some minutes
	AtRisk  int    // may be lost
	Unready int    // have a key that cannot sign there
	// Elsewhere counts those whose key is not there: another daemon must renew them.
	Elsewhere int
	Sweeping  []int         `json:",omitempty"` // sectors that are put now
	Lag       time.Duration // after which it sees a change of the store
}

// FiguresOf returns the figures of a daemon. why is why it is not ready; "": it is.
func FiguresOf(s republisher.Status, lag time.Duration, why string) Figures {
	f := Figures{
		Ready: why == "", Why: why, Names: s.Own + s.Hosted, Due: s.Due, Late: s.Late, AtRisk: s.AtRiskCount,
		Unready: s.Unready, Elsewhere: s.Elsewhere, Lag: lag,
	}
	for _, sector := range s.Sectors {
		if sector.Working {
			f.Sweeping = append(f.Sweeping, sector.Number)
		}
	}
	return f
}

// beat is when the row of a daemon was seen to change.
type beat struct {
	version uint64
	at      time.Duration // by the clock
}

// beat says that this daemon is alive.
func (m *Member) beat(ctx context.Context) error {
	d := m.Daemon
	if m.About != nil {
		d.Figures = m.About(ctx)
	}
	value, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return recordstore.ChangeRow(ctx, m.Rows, Table, d.ID, func([]byte) ([]byte, error) { return value, nil })
}

// gone takes this daemon off the list.
func (m *Member) gone(ctx context.Context) error {
	return recordstore.ChangeRow(ctx, m.Rows, Table, m.Daemon.ID, func([]byte) ([]byte, error) { return nil, nil })
}

// daemons returns all that are on the list, and takes those off that gave no sign of life
// for long.
func (m *Member) daemons(ctx context.Context) (list []Daemon, err error) {
	now := m.clock()
	known := make(map[string]beat)
	var old []recordstore.Row
	m.mu.Lock()
	seen := m.seen // replaced as a whole
	m.mu.Unlock()
	for row, err := range m.Rows.Range(ctx, Table, "", "") {
		if err != nil {
			return nil, fmt.Errorf("list of daemons: %w", err)
		}
		b, ok := seen[row.Key]
		if !ok || b.version != row.Version {
			b = beat{row.Version, now}
		}
		var d Daemon
		if err := json.Unmarshal(row.Value, &d); err != nil || d.ID != row.Key || len(known) >= MaxDaemons || now-b.at > forgetAfter*m.ttl() {
			old = append(old, row)
			continue
		}
		known[d.ID] = b
		list = append(list, d)
	}
	m.mu.Lock()
	m.seen = known
	m.mu.Unlock()
	for _, row := range old {
		row.Value = nil
		if _, err := m.Rows.Swap(ctx, row); err != nil && !errors.Is(err, recordstore.ErrConflict) && !errors.Is(err, recordstore.ErrNotFound) {
			return nil, fmt.Errorf("take a daemon off the list: %w", err)
		}
	}
	return list, nil
}
