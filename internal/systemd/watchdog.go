package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"
)

// Environment of the watchdog: how long a service may be silent, in microseconds, and which
// process is to speak.
const (
	watchdogEnv    = "WATCHDOG_USEC"
	watchdogPIDEnv = "WATCHDOG_PID"
)

// Watchdog returns how long this process may be silent before systemd kills it; 0: for ever.
func Watchdog() (time.Duration, error) {
	text := os.Getenv(watchdogEnv)
	if text == "" || !isThisProcess(watchdogPIDEnv) {
		return 0, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 {
		return 0, fmt.Errorf("environment variable %s is no number of microseconds: %q", watchdogEnv, text)
	}
	return time.Duration(usec) * time.Microsecond, nil
}

// isThisProcess reports whether a variable is absent or has the id of this process.
func isThisProcess(variable string) bool {
	pid := os.Getenv(variable)
	return pid == "" || pid == strconv.Itoa(os.Getpid())
}

// Watch calls check three times within limit, and tells systemd that the service is alive as
// often as check returns nil in time, until ctx ends. When check fails or hangs it says
// nothing: then systemd kills the process and starts it again. say is [Notify].
func Watch(ctx context.Context, limit time.Duration, check func(context.Context) error, say func(string) error, log *slog.Logger) {
	turn := limit / 3
	ticks := time.NewTicker(turn)
	defer ticks.Stop()
	for {
		checking, cancel := context.WithTimeout(ctx, turn)
		err := check(checking)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("this process does not do its work: systemd starts it again unless it does soon", "err", err)
		default:
			if err := say(Alive); err != nil {
				log.Warn("cannot notify systemd", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}
