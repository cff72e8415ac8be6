package door

import (
	"context"
	"time"
)

// waitTimeout is how long a request waits for its turn.
const waitTimeout = time.Minute

// turns limits concurrent requests. Each element of a channel is one request; both
// channels are nil if there is no limit.
type turns struct{ ordinary, reserve chan struct{} }

func newTurns(o Options) *turns {
	if o.Requests == 0 {
		return &turns{}
	}
	return &turns{make(chan struct{}, o.Requests), make(chan struct{}, o.Reserve)}
}

// try takes a turn if one is free now. The turn ends when done is called.
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

// wait waits for a turn.
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

// reserved returns the reserve for Control requests, and nil for others: a nil channel
// never gives a turn.
func (t *turns) reserved(class Class) chan struct{} {
	if class == Control {
		return t.reserve
	}
	return nil
}
