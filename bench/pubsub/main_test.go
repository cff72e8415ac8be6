package main

import (
	"context"
	"io"
	"testing"
)

// Every update reaches a subscriber, here one in the same process.
func TestUpdatesAreMeasured(t *testing.T) {
	const updates = 5
	f, err := measure(t.Context(), updates, func(ctx context.Context, name, from string) (<-chan arrival, func() error, error) {
		ctx, cancel := context.WithCancel(ctx)
		arrivals := make(chan arrival, 16)
		in, out := io.Pipe()
		go read(in, arrivals)
		ended := make(chan error, 1)
		go func() {
			ended <- subscribe(ctx, name, from, out)
			_ = out.Close()
		}()
		return arrivals, func() error { cancel(); return <-ended }, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.published) != updates-1 || len(f.stored) != updates-1 || len(f.pings) != updates {
		t.Errorf("%+v", f)
	}
}
