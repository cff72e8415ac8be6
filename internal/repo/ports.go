package repo

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// Moved is a config address whose port was taken, and its replacement.
type Moved struct {
	What     string // "API", "Gateway" or "Swarm"
	From, To string // multiaddrs
}

// AvoidTakenPorts replaces ports in the config that other processes use with free ones,
// and returns the changes.
func (c *Config) AvoidTakenPorts() ([]Moved, error) {
	var moved []Moved
	frees := map[string]string{} // by the use of a socket, and its address: listeners share one
	avoid := func(what string, addr *string) error {
		at, rest := socketOf(*addr)
		if frees[what+at] == "" {
			free, err := freeAddress(at)
			if err != nil {
				return err
			}
			frees[what+at] = free
		}
		to := frees[what+at] + rest
		if to != *addr {
			moved = append(moved, Moved{what, *addr, to})
			*addr = to
		}
		return nil
	}
	if err := avoid("API", &c.Addresses.API); err != nil {
		return nil, err
	}
	if err := avoid("Gateway", &c.Addresses.Gateway); err != nil {
		return nil, err
	}
	for i := range c.Addresses.Swarm {
		if err := avoid("Swarm", &c.Addresses.Swarm[i]); err != nil {
			return nil, err
		}
	}
	return moved, nil
}

// socketOf splits an address after its port: what follows is said over the same socket.
func socketOf(addr string) (at, rest string) {
	parts := strings.SplitAfterN(addr, "/", 6) // "/", "ip4/", "0.0.0.0/", "udp/", "4001/", …
	if len(parts) < 6 {
		return addr, ""
	}
	at = strings.TrimSuffix(strings.Join(parts[:5], ""), "/")
	return at, addr[len(at):]
}

// freeAddress returns addr, with another port if its own is taken. It tests ports by
// listening on them; another process may still take one afterwards.
func freeAddress(addr string) (string, error) {
	parts := strings.Split(addr, "/") // "", ip4, 127.0.0.1, tcp, 5001, …
	if len(parts) < 5 || parts[1] != "ip4" && parts[1] != "ip6" {
		return addr, nil
	}
	network, ip, port := parts[3], parts[2], parts[4]
	if port == "0" {
		return addr, nil
	}
	_, err := tryListen(network, net.JoinHostPort(ip, port))
	if !Taken(err) {
		return addr, nil // free, or the address cannot be used with any port
	}
	free, err := tryListen(network, net.JoinHostPort(ip, "0"))
	if err != nil {
		return "", fmt.Errorf("find a free port instead of %s: %w", addr, err)
	}
	parts[4] = strconv.Itoa(free)
	return strings.Join(parts, "/"), nil
}

// What Windows says, whose numbers are not those that package syscall has for it.
const (
	windowsInUse = syscall.Errno(10048)
	windowsKept  = syscall.Errno(10013) // of a port that it keeps for itself or another program alone
)

// Taken reports whether nothing could listen on an address since its port is another program's.
func Taken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, windowsInUse) || errors.Is(err, windowsKept)
}

// tryListen listens briefly and returns the port.
func tryListen(network, hostport string) (int, error) {
	if network == "udp" {
		c, err := net.ListenPacket(network, hostport)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).Port, nil
	}
	l, err := net.Listen(network, hostport)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
