package systemd

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// signs counts the signs of life in 59 seconds, of a watchdog of six.
func signs(t *testing.T, check func(context.Context) error) (n int) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 59*time.Second)
		defer cancel()
		say := func(state string) error {
			if state != Alive {
				t.Errorf("systemd was told %q", state)
			}
			n++
			return nil
		}
		Watch(ctx, 6*time.Second, check, say, slog.New(slog.DiscardHandler))
	})
	return n
}

func TestServiceThatWorksGivesSignsOfLifeThriceInItsTime(t *testing.T) {
	if n := signs(t, func(context.Context) error { return nil }); n != 30 {
		t.Errorf("%d signs of life, want one every two seconds", n)
	}
}

func TestServiceThatFailsOrHangsGivesNoSignOfLife(t *testing.T) {
	if n := signs(t, func(context.Context) error { return errors.New("stuck") }); n != 0 {
		t.Errorf("%d signs of life of one that fails", n)
	}
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	if n := signs(t, hang); n != 0 {
		t.Errorf("%d signs of life of one that hangs", n)
	}
}

func TestWatchdogIsThatOfThisProcess(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		bad       bool
	}{
		{"", "", 0, false},
		{"2000000", "", 2 * time.Second, false},
		{"2000000", strconv.Itoa(os.Getpid()), 2 * time.Second, false},
		{"2000000", "1", 0, false},
		{"often", "", 0, true},
		{"-1", "", 0, true},
	} {
		t.Setenv(watchdogEnv, c.usec)
		t.Setenv(watchdogPIDEnv, c.pid)
		if got, err := Watchdog(); got != c.want || (err != nil) != c.bad {
			t.Errorf("%s=%s for process %q: %v, %v", watchdogEnv, c.usec, c.pid, got, err)
		}
	}
}
