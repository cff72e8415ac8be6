package site

import (
	"context"
	"time"
)

// When a round begins.
const (
	// quiet is how long nothing must have changed: who saves a file, or a tool that writes many, is done then.
	quiet = 200 * time.Millisecond
	// longest is how long a round waits for that.
	longest = 5 * time.Second
)

// Follow runs a round whenever something may have changed, once nothing has for a while, and again after the time that
// the last round has asked for, if that is not 0. It returns when ctx ends.
func Follow(ctx context.Context, changed <-chan struct{}, again time.Duration, round func(context.Context) (again time.Duration)) {
	for {
		var asked <-chan time.Time
		if again > 0 {
			asked = time.After(again)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
			if !settle(ctx, changed) {
				return
			}
		case <-asked:
		}
		again = round(ctx)
	}
}

// settle waits until nothing changes any more, or for the longest time. It returns false if ctx ended.
func settle(ctx context.Context, changed <-chan struct{}) bool {
	end := time.After(longest)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		case <-time.After(quiet):
			return true
		case <-end:
			return true
		}
	}
}
