package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/durable"
	"github.com/goipns/ipns/internal/filelock"
)

// Lock is the right to write to a repo. It ends with Unlock or with the process.
type Lock struct {
	f    *os.File
	from int
}

// Note says what locking changed in a repo of an older version; "": nothing.
func (l *Lock) Note() string {
	if l == nil || l.from == 0 {
		return ""
	}
	return fmt.Sprintf("the repo was of version %d, and is of version %d now: %s; programs that read only version %d refuse it", l.from, Version, Changes(l.from), l.from)
}

// Lock locks the repo for this process, or fails with [ErrLocked]. It removes the files
// api and gateway of a killed daemon, completes or removes what a restore has left, and
// makes a repo of an older version one of this [Version]. One that this program cannot
// open stays as it is.
func (r Repo) Lock() (*Lock, error) {
	if err := r.readable(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(r.path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		// If the file exists, locking needs neither space nor write permission.
		var rerr error
		if f, rerr = os.Open(r.path(lockFile)); rerr != nil {
			return nil, fmt.Errorf("lock the repo: %w", err)
		}
	}
	free, err := filelock.TryLock(f)
	if err == nil && !free {
		err = fmt.Errorf("the repo %s is %w (it holds %s); stop that one first, or set IPNS_PATH to another repo", string(r), ErrLocked, r.path(lockFile))
	} else if err != nil {
		err = fmt.Errorf("lock %s: %w", r.path(lockFile), err)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	l := &Lock{f: f}
	if _, err := r.settle(); err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	r.RemoveAddresses()
	if l.from, err = r.upgrade(); err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	return l, nil
}

// Unlock releases the lock; a nil Lock holds none.
func (l *Lock) Unlock() error {
	if l == nil {
		return nil
	}
	return errors.Join(filelock.Unlock(l.f), l.f.Close())
}

// lockWait is how long a command waits for another one to release the repo. A daemon
// that holds it longer has written its api file.
const lockWait = 5 * time.Second

// LockOrAPI locks the repo if it is free. If a daemon is running on it, it returns the
// daemon's API address instead.
func (r Repo) LockOrAPI(ctx context.Context) (*Lock, string, error) {
	for deadline := time.Now().Add(lockWait); ; {
		l, err := r.Lock()
		if err == nil {
			return l, "", nil
		}
		if !errors.Is(err, ErrLocked) {
			return nil, "", err
		}
		if addr, err := r.API(); err == nil {
			return nil, addr, nil
		}
		if time.Now().After(deadline) {
			return nil, "", err
		}
		select {
		case <-ctx.Done():
			return nil, "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// API returns the multiaddr of a running daemon's API. After a daemon was killed the
// address may be stale: [Repo.LockOrAPI] checks that.
func (r Repo) API() (string, error) { return r.readLine(apiFile) }

// Gateway returns the URL of a running daemon's gateway.
func (r Repo) Gateway() (string, error) { return r.readLine(gatewayFile) }

func (r Repo) readLine(name string) (string, error) {
	b, err := os.ReadFile(r.path(name))
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", &fs.PathError{Op: "read", Path: r.path(name), Err: fs.ErrNotExist}
	}
	return s, nil
}

// WriteAddresses records where the daemon of this process listens, for other processes.
// For an empty address no file is written.
func (r Repo) WriteAddresses(api, gateway string) error {
	for _, f := range []struct{ name, text string }{{gatewayFile, gateway}, {apiFile, api}} {
		if f.text == "" {
			continue
		}
		if err := durable.Replace(r.path(f.name), []byte(f.text), 0o600); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return nil
}

// RemoveAddresses removes these files.
func (r Repo) RemoveAddresses() {
	os.Remove(r.path(apiFile))
	os.Remove(r.path(gatewayFile))
}
