package serve

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// recheck is how often the files of a certificate are looked at, at most.
const recheck = 10 * time.Second

// certificate is that of a server, in files that somebody renews. nil: there is none.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	read    [2]time.Time // when the files had changed that were read
	checked time.Time
}

// openCertificate reads a certificate; nil if there are no files.
func openCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	if cert == "" {
		return nil, nil
	}
	c := &certificate{cert: cert, key: key, log: log}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("config settings Hosting.TLSCert and Hosting.TLSKey: %w", err)
	}
	return c, nil
}

func (c *certificate) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.now(time.Now()), nil
		},
	}
}

// now returns the certificate, read again if its files have changed.
func (c *certificate) now(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked).Abs() >= recheck {
		c.check(now)
	}
	return c.pair
}

// end returns from when on clients refuse the certificate.
func (c *certificate) end() time.Time {
	pair := c.now(time.Now())
	leaf := pair.Leaf
	if leaf == nil {
		return time.Time{}
	}
	return leaf.NotAfter
}

// reload looks at the files at once.
func (c *certificate) reload(now time.Time) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.check(now)
}

// check reads the files if they have changed. While they cannot be read, as when one of the
// two is new, the certificate stays. Call with mu held.
func (c *certificate) check(now time.Time) {
	c.checked = now
	times, err := c.times()
	if err == nil && times == c.read {
		return
	}
	if err == nil {
		err = c.load()
	}
	if err != nil {
		c.log.Error("the certificate was not read again; the old one stays", "err", err)
	}
}

func (c *certificate) times() (t [2]time.Time, err error) {
	for i, path := range []string{c.cert, c.key} {
		info, err := os.Stat(path)
		if err != nil {
			return t, err
		}
		t[i] = info.ModTime()
	}
	return t, nil
}

func (c *certificate) load() error {
	times, err := c.times()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.pair, c.read = &pair, times
	return nil
}
