package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// exitSignal plus the number of the signal is the exit code after a second signal, as in
// shells.
const exitSignal = 128

// interrupted returns a context that ends with a signal to stop; a second one ends the process
// immediately. SIGHUP is such a signal, unless it is ignored (nohup), or the process is a systemd
// service, where it means reload.
func interrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) && notifySocket() == "" {
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
	if notifySocket() != "" && !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c, func() { signal.Stop(c) }
}

// notifySocket is where systemd receives messages from its services.
func notifySocket() string { return os.Getenv("NOTIFY_SOCKET") }

// reloading is the state of a service that reloads its config. From its time, systemd
// knows which READY=1 ends this reload (Type=notify-reload).
func reloading() string {
	const state = "RELOADING=1"
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return state // enough for Type=notify
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", state, now.Nano()/1000)
}

// notify sends the state of this service to systemd: READY=1, [reloading] or STOPPING=1.
// Without systemd it does nothing.
func notify(state string) error {
	path := notifySocket()
	if path == "" {
		return nil
	}
	if name, ok := strings.CutPrefix(path, "@"); ok {
		path = "\x00" + name
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd %s: %w", state, err)
	}
	err = conn.SetWriteDeadline(time.Now().Add(time.Second))
	if err == nil {
		_, err = conn.Write([]byte(state))
	}
	return errors.Join(err, conn.Close())
}
