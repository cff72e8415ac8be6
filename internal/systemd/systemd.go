// Package systemd is what a service says to systemd, and gets from it: messages about its
// state, signs of life for the watchdog, sockets that were opened for it.
//
// It speaks the protocols of sd_notify(3) and sd_listen_fds(3), by the variables of the
// environment that systemd sets. Where they are not set, it does nothing.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// States of a service; [Reloading] is another.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// socketEnv says where systemd receives messages from its services.
const socketEnv = "NOTIFY_SOCKET"

// sendTimeout bounds how long a message may take.
const sendTimeout = time.Second

// IsService reports whether systemd has started this process, and hears what it says.
func IsService() bool { return os.Getenv(socketEnv) != "" }

// Notify sends a state to systemd.
func Notify(state string) error {
	path := os.Getenv(socketEnv)
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
	err = conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if err == nil {
		_, err = conn.Write([]byte(state))
	}
	return errors.Join(err, conn.Close())
}

// Reloading is the state of a service that reloads its config. From its time, systemd
// knows which [Ready] ends this reload (Type=notify-reload).
func Reloading() string {
	const state = "RELOADING=1"
	at, ok := monotonic()
	if !ok {
		return state // enough for Type=notify
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", state, at.Microseconds())
}
