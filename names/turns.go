package names

import (
	"context"
	"sync"

	"github.com/goipns/ipns"
)

// Turn waits until no one else in this process is making the next record of the
// name, and returns a function that the caller must call when done. It only saves
// concurrent writers from signing records that would lose; that no two writers, even
// in two processes, use the same sequence is ensured by the swap.
func (b *Book) Turn(ctx context.Context, name ipns.Name) (done func(), err error) {
	return b.turns.wait(ctx, name)
}

type turns struct {
	mu   sync.Mutex // guards the fields below; never held while waiting
	held map[ipns.Name]*turn
}

type turn struct {
	token chan struct{} // holds one element while someone has the turn
	users int           // callers that have the turn or wait for it
}

func (t *turns) wait(ctx context.Context, name ipns.Name) (func(), error) {
	t.mu.Lock()
	if t.held == nil {
		t.held = make(map[ipns.Name]*turn)
	}
	w := t.held[name]
	if w == nil {
		w = &turn{token: make(chan struct{}, 1)}
		t.held[name] = w
	}
	w.users++
	t.mu.Unlock()
	select {
	case w.token <- struct{}{}:
		return sync.OnceFunc(func() { <-w.token; t.leave(name, w) }), nil
	case <-ctx.Done():
		t.leave(name, w)
		return nil, ctx.Err()
	}
}

func (t *turns) leave(name ipns.Name, w *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.users--; w.users == 0 {
		delete(t.held, name)
	}
}
