package door

import (
	"context"
	"time"
)

// waitTimeout is how long a request waits for its turn.
const waitTimeout = time.Minute

// turns are the requests that may be worked on at once. Each element of a
// channel is one; both are nil without a limit.
type turns struct{ ordinary, reserve chan struct{} }

func newTurns(o Options) *turns {
	if o.Requests == 0 {
		return &turns{}
	}
	return &turns{make(chan struct{}, o.Requests), make(chan struct{}, o.Reserve)}
}

// try takes the turn of a request, which lasts until done, if there is one now.
func (t *turns) try(class Class) (done func(), ok bool) {
	if t.ordinary == nil || class == Instant {
		return func() {}, true
	}
	select {
	case t.ordinary <- struct{}{}:
		return func() { <-t.ordinary }, true
	default:
	}
	select {
	case t.reserved(class) <- struct{}{}:
		return func() { <-t.reserve }, true
	default:
		return nil, false
	}
}

// wait takes a turn as soon as there is one.
func (t *turns) wait(ctx context.Context, class Class) (done func(), ok bool) {
	late := time.NewTimer(waitTimeout)
	defer late.Stop()
	select {
	case t.ordinary <- struct{}{}:
		return func() { <-t.ordinary }, true
	case t.reserved(class) <- struct{}{}:
		return func() { <-t.reserve }, true
	case <-late.C:
	case <-ctx.Done():
	}
	return nil, false
}

// reserved is the reserve for those who may use it; on nil nobody's turn comes.
func (t *turns) reserved(class Class) chan struct{} {
	if class == Control {
		return t.reserve
	}
	return nil
}
