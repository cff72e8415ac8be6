package records

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/goipns/ipns/recordstore"
)

const (
	readyFor   = time.Second // that an answer of the database is used
	readyLimit = time.Second // that it is waited for
)

// asked is what the database has said last.
type asked struct {
	mu  sync.Mutex // guards the fields below, and lets one ask
	at  time.Time
	err error // why it takes no writes
}

// Unready says why no names can be stored now, as it was a moment ago; "": they can. It is for
// everybody, and tells nothing of where the store is.
func (s *Store) Unready(ctx context.Context) string {
	err := s.writable(ctx)
	switch {
	case errors.Is(err, recordstore.ErrReadOnly):
		return "the database of the names takes no writes"
	case errors.Is(err, recordstore.ErrFull):
		return "the database of the names has no space"
	case err != nil:
		return "the database of the names does not answer"
	case s.Shared == nil && s.Disk.Full():
		return "there is no space on its disk"
	}
	return ""
}

// writable returns why the database takes no writes.
func (s *Store) writable(ctx context.Context) error {
	if s.Shared == nil {
		return nil
	}
	s.asked.mu.Lock()
	defer s.asked.mu.Unlock()
	if time.Since(s.asked.at) < readyFor {
		return s.asked.err
	}
	// The caller's end must not tell others something wrong.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyLimit)
	defer cancel()
	s.asked.err = s.Shared.Writable(ctx)
	s.asked.at = time.Now()
	return s.asked.err
}
