package main

import (
	"testing"
	"time"
)

// The measurement runs to its end.
func TestTheMeasurementRuns(t *testing.T) {
	if err := run(t.Context(), config{names: 20, conns: 2, rounds: 1, turn: 20 * time.Millisecond}); err != nil {
		t.Error(err)
	}
}
