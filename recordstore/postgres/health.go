package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/recordstore"
)

const (
	// patience is how long the database may not answer before those who ask are told so at
	// once, in place of waiting, too. It is longer than readers of Changes pause.
	patience = pollEvery + 3*time.Second
	// brief is how long it may be away without that, such as while it is restarted.
	brief = 2 * time.Second
	// tryEvery is how often one of those who ask then waits all the same, to find out whether
	// it answers again.
	tryEvery = time.Second / 2
	// fullFor is how long after a write that found no space Writable says so. Only writes can
	// tell, and small ones may go on.
	fullFor = 10 * time.Second
)

// health is whether the database answers. With it, a database that is away costs each caller
// little, however many there are.
type health struct {
	mu       sync.Mutex // guards all below
	answered time.Time  // the last time
	failed   error      // why it did not when it was asked after that; nil: it did
	asking   int        // those who wait for an answer now
	since    time.Time  // when the first of them began, or answered if that is later
	tried    time.Time
	full     time.Time // when a write found no space
}

// begin is called before the database is asked. An error says that it does not answer.
func (h *health) begin(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.away(now); err != nil {
		if now.Sub(h.tried) < tryEvery {
			return err
		}
		h.tried = now
	}
	if h.asking == 0 {
		h.since = now
	}
	h.asking++
	return nil
}

// away returns why the database is not worth waiting for. Call with mu held.
func (h *health) away(now time.Time) error {
	switch {
	case h.failed != nil && now.Sub(h.answered) > brief:
		return h.failed
	case h.asking > 0 && now.Sub(h.since) > patience:
		return fmt.Errorf("%w: no answer for %v", ErrAway, now.Sub(h.since).Round(time.Second))
	}
	return nil
}

// end is called after the database was asked, with the error of a database that is away.
func (h *health) end(now time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asking--
	if h.failed = err; err == nil {
		h.answered, h.since = now, now
	}
}

// gaveUp is called in place of end by those who did not wait for the answer.
func (h *health) gaveUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asking--
}

// isFull is called after a write that found no space.
func (h *health) isFull(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.full = now
}

// Answered implements recordstore.Shared.
func (s *Store) Answered() (at time.Time, err error) {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.away(time.Now()); err != nil {
		return h.answered, err
	}
	return h.answered, h.failed
}

// Writable asks whether the database takes writes, and returns why it does not.
func (s *Store) Writable(ctx context.Context) error {
	err := s.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var readOnly bool
		err := conn.QueryRow(ctx, `select current_setting('transaction_read_only')::bool`).Scan(&readOnly)
		if err == nil && readOnly {
			err = unreadable{ErrReadOnly}
		}
		return err
	})
	s.health.mu.Lock()
	full := s.health.full
	s.health.mu.Unlock()
	if err == nil && !full.IsZero() && time.Since(full) < fullFor {
		err = recordstore.ErrFull
	}
	if err != nil {
		return fmt.Errorf("see whether the database takes writes: %w", err)
	}
	return nil
}

var _ recordstore.Shared = (*Store)(nil)
