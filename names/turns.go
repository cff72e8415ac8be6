package names

import (
	"context"
	"sync"

	"github.com/goipns/ipns"
)

// Turn waits until the caller is the only one in this process who makes the next
// record of the name, and returns a function that must be called when it is
// done. It saves writers of one name from signing what will lose; what keeps two
// of them, also in two processes, from using one sequence is the swap.
func (b *Book) Turn(ctx context.Context, name ipns.Name) (done func(), err error) {
	return b.turns.wait(ctx, name)
}

type turns struct {
	mu   sync.Mutex // guards all below, is never held while waiting
	held map[ipns.Name]*turn
}

type turn struct {
	token chan struct{} // has an element while somebody has the turn
	users int           // who have it or wait for it
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
