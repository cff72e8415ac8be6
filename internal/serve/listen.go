package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// dialTimeout bounds how long it takes to see that a Unix socket is in use.
const dialTimeout = time.Second

// unix begins the multiaddr of a Unix socket.
const unix = "/unix"

// ListenError says that an address of the config cannot be listened on.
type ListenError struct {
	Key  string // of the config: "Addresses.API"
	Addr string // a multiaddr
	Err  error
}

func (e *ListenError) Error() string {
	if path, ok := strings.CutPrefix(e.Addr, unix); ok {
		return fmt.Sprintf("cannot listen on the Unix socket %s: %v", path, e.Err)
	}
	return fmt.Sprintf("cannot listen on %s: %v", e.Addr, e.Err)
}

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// listen takes a port, or what is open already. what is the config key under Addresses.
func (o *Options) listen(what, addr string) (manet.Listener, error) {
	if l := o.Listeners["Addresses."+what]; l != nil {
		return manet.WrapNetListener(l)
	}
	return listen(what, addr)
}

// listen takes a port.
func listen(what, addr string) (manet.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	m, err := ma.NewMultiaddr(addr)
	if err != nil {
		return nil, fmt.Errorf("config Addresses.%s: %w", what, err)
	}
	if path, err := m.ValueForProtocol(ma.P_UNIX); err == nil {
		return listenUnix(what, path)
	}
	l, err := manet.Listen(m)
	if err != nil {
		return nil, &ListenError{"Addresses." + what, addr, reason(err)}
	}
	return l, nil
}

// reason is the innermost cause, which is what tells a user something.
func reason(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// listenUnix takes a Unix socket, which the users of the repo's group may use at
// most. One that nobody listens on was left by a process that was killed.
func listenUnix(what, path string) (manet.Listener, error) {
	fail := func(err error) (manet.Listener, error) {
		return nil, &ListenError{"Addresses." + what, unix + path, reason(err)}
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return fail(errors.New("a file is there that is no socket"))
		}
		conn, err := net.DialTimeout("unix", path, dialTimeout)
		if err == nil {
			return fail(errors.Join(syscall.EADDRINUSE, conn.Close()))
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return fail(err)
		}
		if err := os.Remove(path); err != nil {
			return fail(err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fail(err)
	}
	info, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, info.Mode().Perm()&^0o007)
	}
	if err != nil {
		return fail(errors.Join(err, l.Close()))
	}
	wrapped, err := manet.WrapNetListener(l)
	if err != nil {
		return fail(errors.Join(err, l.Close()))
	}
	return wrapped, nil
}
