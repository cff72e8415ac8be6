package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/goipns/ipns/internal/systemd"
)

// exitSignal plus the number of the signal is the exit code after a second signal, as in
// shells.
const exitSignal = 128

// interrupted returns a context that ends with a signal to stop; a second one ends the process
// immediately. SIGHUP is such a signal, unless it is ignored (nohup), or the process is a systemd
// service, where it means reload.
func interrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) && !systemd.IsService() {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancel(ctx)
	came := make(chan os.Signal, 2)
	signal.Notify(came, signals...)
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for told := false; ; told = true {
			select {
			case s := <-came:
				// A terminal that closes may send two signals.
				if told && s != syscall.SIGHUP {
					os.Exit(exitSignal + int(s.(syscall.Signal)))
				}
				cancel()
			case <-over:
				return
			}
		}
	})
	return ctx, func() {
		signal.Stop(came)
		close(over)
		watching.Wait()
		cancel()
	}
}

// reloads receives a value when a service should reload its config. stop ends that.
func reloads() (asked <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	if systemd.IsService() && !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c, func() { signal.Stop(c) }
}
