// Package serve is the HTTP servers of a node: the API, the gateway, the metrics and the doors of hosting. It takes
// the ports, tells other processes where they are, and puts each server behind its door,
// the API behind its guard too.
//
// Invariant: all ports are taken before anything is served, and an API that everybody
// could use is not served unless the config wants it.
package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/door"
	"github.com/goipns/ipns/internal/guard"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

// closeTimeout bounds how long Close waits for the requests that are going on.
const closeTimeout = 5 * time.Second

// The doors of a node, with their limits; that of the API is apiDoor. The gateway's
// handler limits its requests itself.
var (
	gatewayDoor = door.Options{Conns: 2048, PerAddress: 256, NoBodies: true}
	metricsDoor = door.Options{Conns: 16, NoBodies: true}
	hostingDoor = door.Options{
		Conns: 16_384, PerAddress: 1024, Requests: 512, Reserve: 512,
		Class: func(r *http.Request) door.Class {
			switch {
			case path.Base(r.URL.Path) == "watch", isHealth(r):
				return door.Instant // watchers stay for long, and have limits of their own
			case r.Method != http.MethodGet && r.Method != http.MethodHead:
				return door.Control // a put does not wait for reads, each of which may search the network
			}
			return door.Ordinary
		},
	}
)

// Options are what is served, and for whom.
type Options struct {
	Repo repo.Repo
	Log  *slog.Logger

	API *rpc.Mux // nil: none
	// Gateway makes the gateway of a config, at first and whenever that is read again.
	Gateway func(*repo.Config) (http.Handler, error)
	Metrics http.Handler
	// Timed wraps the handlers of a door to measure them; nil: they are not measured.
	Timed func(door string, h http.Handler) http.Handler
	// Certificate is told of each certificate, whose end changes when it is renewed; nil:
	// nobody is.
	Certificate func(door string, end func() time.Time)
	// Hosting makes what is served to tenants, as Gateway does.
	Hosting func(*repo.Config) (http.Handler, error)
	// Listeners are open already, and used instead of the addresses of the config, by the
	// keys of these: those that systemd has opened.
	Listeners map[string]net.Listener
	// Ready says whether the node may serve and sign; nil: it may.
	Ready func(context.Context) Ready
}

// Servers are the HTTP servers of a node.
type Servers struct {
	API     ma.Multiaddr // nil: none
	Gateway ma.Multiaddr // nil: none
	Metrics ma.Multiaddr // nil: none
	Hosting ma.Multiaddr // nil: none

	o       Options
	doors   []*door.Door
	running sync.WaitGroup

	api, gateway, hosting *door.Door // nil: none
	certificate           *certificate

	mu      sync.Mutex // held while the config is read again
	guard   *guard.Guard
	started *repo.Config // what was in force first
	now     *repo.Config // what was read last
}

// Start serves what the config has addresses for, and tells other processes where it is.
func Start(c *repo.Config, o Options) (s *Servers, err error) {
	s = &Servers{o: o, started: c, now: c}
	var open []io.Closer
	defer func() {
		if err != nil {
			for _, l := range open {
				err = errors.Join(err, l.Close())
			}
		}
	}()
	take := func(what, addr string) (manet.Listener, error) {
		l, err := o.listen(what, addr)
		if l != nil {
			open = append(open, l)
		}
		return l, err
	}
	var api manet.Listener
	if o.API != nil {
		if api, err = take("API", c.Addresses.API); err != nil {
			return nil, err
		}
	}
	gw, err := take("Gateway", c.Addresses.Gateway)
	if err != nil {
		return nil, err
	}
	figures, err := take("Metrics", c.Addresses.Metrics)
	if err != nil {
		return nil, err
	}
	var tenants manet.Listener
	if o.Hosting != nil {
		if tenants, err = take("Hosting", c.Addresses.Hosting); err != nil {
			return nil, err
		}
	}
	trusted, err := c.HTTP.Proxies()
	if err != nil {
		return nil, err
	}
	if api != nil {
		s.API = api.Multiaddr()
	}
	if tenants != nil {
		s.Hosting = tenants.Multiaddr()
		if s.certificate, err = openCertificate(c.Hosting.TLSCert, c.Hosting.TLSKey, o.Log); err != nil {
			return nil, err
		}
		if s.certificate != nil && o.Certificate != nil {
			o.Certificate("hosting", s.certificate.end)
		}
	}
	if gw != nil {
		s.Gateway = gw.Multiaddr()
	}
	h, err := s.handlers(c)
	if err != nil {
		return nil, err
	}
	open = nil // the servers close them
	if gw != nil {
		s.gateway = s.serve("gateway", gw, s.healthyGateway(h.gateway), gatewayDoor, trusted)
	}
	if figures != nil {
		s.Metrics = figures.Multiaddr()
		s.serve("metrics", figures, s.healthy(o.Metrics), metricsDoor, trusted)
	}
	if api != nil {
		s.api, s.guard = s.serve("api", api, s.healthy(h.api), apiDoor(o.API), trusted), h.api
	}
	if tenants != nil {
		limits := hostingDoor
		limits.TLS = s.certificate.config()
		s.hosting = s.serve("hosting", tenants, s.healthy(h.hosting), limits, trusted)
	}
	if err := o.Repo.WriteAddresses(text(s.API), s.GatewayURL()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// handlers are what the addresses of Servers serve by a config; nil where there is no address.
type handlers struct {
	api              *guard.Guard
	gateway, hosting http.Handler
}

func (s *Servers) handlers(c *repo.Config) (h handlers, err error) {
	if s.API != nil {
		if err := s.mayOpen(c); err != nil {
			return h, err
		}
		if h.api, err = s.guarded(c); err != nil {
			return h, err
		}
	}
	if s.Gateway != nil {
		if h.gateway, err = s.o.Gateway(c); err != nil {
			return h, err
		}
		h.gateway = connects{h.gateway}
	}
	if s.Hosting != nil {
		h.hosting, err = s.o.Hosting(c)
	}
	return h, err
}

// connects answers CONNECT, by which a client that uses the gateway as a proxy opens what it
// takes for a tunnel: what it then asks, it asks on the same connection. No connection to
// elsewhere is made.
type connects struct{ http.Handler }

func (c connects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		w.WriteHeader(http.StatusOK)
		return
	}
	c.Handler.ServeHTTP(w, r)
}

// text is where this machine reaches an address that is listened on; empty if there is none.
func text(m ma.Multiaddr) string {
	if m == nil {
		return ""
	}
	return reachable(m).String()
}

// reachable is an address by which this machine reaches one that is listened on: loopback
// for all addresses of the machine.
func reachable(m ma.Multiaddr) ma.Multiaddr {
	ip, err := manet.ToIP(m)
	if err != nil || !ip.IsUnspecified() {
		return m
	}
	loopback := ma.StringCast("/ip4/127.0.0.1")
	if ip.To4() == nil {
		loopback = ma.StringCast("/ip6/::1")
	}
	_, rest := ma.SplitFirst(m)
	return ma.Join(loopback, rest.Multiaddr())
}

// GatewayURL is where the gateway is, empty if there is none.
func (s *Servers) GatewayURL() string { return urlOf(s.Gateway) }

// PageURL is where a browser finds the page, empty if it cannot reach the API.
func (s *Servers) PageURL() string {
	if at := urlOf(s.API); at != "" {
		return at + guard.PagePath
	}
	return ""
}

// urlOf is the URL of an address that is listened on, by which this machine reaches it.
func urlOf(m ma.Multiaddr) string {
	if m == nil {
		return ""
	}
	network, hostport, err := manet.DialArgs(reachable(m))
	if err != nil || network == "unix" {
		return "" // a Unix socket has no URL
	}
	return "http://" + hostport
}

// Close stops serving, after the requests that are going on or a few seconds,
// and takes the addresses away.
func (s *Servers) Close() error {
	s.o.Repo.RemoveAddresses()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	for _, d := range s.doors {
		errs = append(errs, d.Close(ctx))
	}
	s.running.Wait()
	return errors.Join(errs...)
}

func (s *Servers) serve(name string, l manet.Listener, h http.Handler, o door.Options, trusted []netip.Prefix) *door.Door {
	o.Log = s.o.Log
	if s.o.Timed != nil {
		o.Timed = func(h http.Handler) http.Handler { return s.o.Timed(name, h) }
	}
	d := door.New(o, h, trusted)
	s.doors = append(s.doors, d)
	s.running.Go(func() { _ = d.Serve(manet.NetListener(l)) }) // it ends by Close
	return d
}
