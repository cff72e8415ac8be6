package pubsub

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// seqnos is the memory of Kubo's validator of sequence numbers.
type seqnos struct{ m sync.Map }

func (s *seqnos) Get(_ context.Context, p peer.ID) ([]byte, error) {
	if b, ok := s.m.Load(p); ok {
		return b.([]byte), nil
	}
	return nil, nil
}

func (s *seqnos) Put(_ context.Context, p peer.ID, b []byte) error {
	s.m.Store(p, b)
	return nil
}

// clock is one that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}
