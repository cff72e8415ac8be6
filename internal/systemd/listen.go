package systemd

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Environment of sockets that systemd has opened: how many, their names, for which process.
const (
	countEnv     = "LISTEN_FDS"
	namesEnv     = "LISTEN_FDNAMES"
	listenPIDEnv = "LISTEN_PID"
)

// firstDescriptor is that of the first socket; the others follow.
const firstDescriptor = 3

// maxSockets bounds how many sockets are taken.
const maxSockets = 16

// Listeners returns the sockets that systemd has opened for this process, by their names
// (FileDescriptorName= of a socket unit): at most one of each, and no names but these.
// It takes them once: programs that this one starts don't get them.
func Listeners(names ...string) (map[string]net.Listener, error) {
	if os.Getenv(countEnv) == "" || os.Getenv(listenPIDEnv) == "" || !isThisProcess(listenPIDEnv) {
		return nil, nil
	}
	count, err := strconv.Atoi(os.Getenv(countEnv))
	if err != nil || count < 0 || count > maxSockets {
		return nil, fmt.Errorf("environment variable %s is not between 0 and %d: %q", countEnv, maxSockets, os.Getenv(countEnv))
	}
	given := strings.Split(os.Getenv(namesEnv), ":")
	for _, v := range []string{countEnv, namesEnv, listenPIDEnv} {
		_ = os.Unsetenv(v) // it has no = or NUL in its name
	}
	taken := map[string]net.Listener{}
	for i := range count {
		var name string
		if i < len(given) {
			name = given[i]
		}
		f := os.NewFile(uintptr(firstDescriptor+i), name)
		l, err := net.FileListener(f)
		_ = f.Close() // l has a copy
		switch {
		case err != nil:
			return nil, fmt.Errorf("socket %q of systemd: %w", name, err)
		case !slices.Contains(names, name):
			return nil, fmt.Errorf("systemd has opened a socket called %q: FileDescriptorName= of its unit is to be one of %s", name, strings.Join(names, ", "))
		case taken[name] != nil:
			return nil, fmt.Errorf("systemd has opened several sockets called %q, where one can be", name)
		}
		taken[name] = l
	}
	return taken, nil
}
