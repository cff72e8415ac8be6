package routing

import (
	"context"
	"errors"
)

// ErrNotHeld means that the region of a put is no longer looked after by this process.
var ErrNotHeld = errors.New("the lease of its region has ended")

type whileKey struct{}

// While returns a context for puts that are made only while held reports true. Routers ask
// it, by [Allowed], before each visit, request and frame: a process that was stopped for a
// minute begins nothing that it may not any more, though no timer has fired yet.
func While(ctx context.Context, held func() bool) context.Context {
	return context.WithValue(ctx, whileKey{}, held)
}

// Allowed returns an error if work under ctx must not begin: that of ctx if it has ended,
// or ErrNotHeld.
func Allowed(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if held, ok := ctx.Value(whileKey{}).(func() bool); ok && !held() {
		return ErrNotHeld
	}
	return nil
}
