package names

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/goipns/ipns/recordstore"
)

// Shared reports whether other processes may write to the store, too.
func (b *Book) Shared() bool {
	_, shared := b.Store.(recordstore.Shared)
	return shared
}

// Silent returns how long the store of several processes has not answered: what they have
// swapped meanwhile is not known here. 0: it answers, as far as is known, or is of this
// process alone. err is why it did not answer.
func (b *Book) Silent() (d time.Duration, err error) {
	s, shared := b.Store.(recordstore.Shared)
	if !shared {
		return 0, nil
	}
	at, err := s.Answered()
	if err == nil {
		return 0, nil
	}
	return max(b.now().Sub(at), 1), err
}

// Reached reports whether the store of several processes has come to a position. If it does
// not answer, the position is taken to be good.
func (b *Book) Reached(ctx context.Context, at recordstore.Position) bool {
	s, shared := b.Store.(recordstore.Shared)
	if !shared {
		return false
	}
	_, err := s.Behind(ctx, at)
	return !errors.Is(err, recordstore.ErrGap)
}

// reached is how far the pump has come.
type reached struct {
	mu   sync.Mutex // guards the fields below
	at   recordstore.Position
	more chan struct{} // closed when at changes; nil: nobody waits
}

// tell notes that subscribers were told of all changes up to a position.
func (r *reached) tell(at recordstore.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = at
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
}

// end notes that nobody is told any more.
func (r *reached) end() { r.tell("") }

func (r *reached) now() (at recordstore.Position, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.more == nil {
		r.more = make(chan struct{})
	}
	return r.at, r.more
}

const (
	catchUpLook = 50 * time.Millisecond // how often CatchUp asks again
	// catchUpBusy is after what time CatchUp returns although there is always something newer.
	catchUpBusy = 3 * time.Second
)

// CatchUp returns when subscribers were told of all that other processes have swapped before,
// so that what was acknowledged to a client there is known here. While they never stop, it
// returns after catchUpBusy: what is told takes milliseconds, so that was told by then, but it
// is not checked. In a store of this process alone it returns at once. Run must be running.
func (b *Book) CatchUp(ctx context.Context) error {
	s, shared := b.Store.(recordstore.Shared)
	if !shared {
		return nil
	}
	begin := time.Now()
	var first recordstore.Position
	for {
		at, more := b.reached.now()
		if first == "" {
			first = at
		}
		if at != first && time.Since(begin) >= catchUpBusy {
			return nil
		}
		if at != "" {
			behind, err := s.Behind(ctx, at)
			if err == nil && !behind {
				return nil
			}
			if err != nil && !errors.Is(err, recordstore.ErrGap) {
				return fmt.Errorf("catch up with other daemons: %w", err)
			}
		}
		look := time.NewTimer(catchUpLook)
		select {
		case <-more:
		case <-look.C:
		case <-ctx.Done():
		}
		look.Stop()
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("catch up with other daemons: %w", err)
		}
	}
}
