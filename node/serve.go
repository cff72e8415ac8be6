package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/gateway"
	"github.com/goipns/ipns/internal/door"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

// dialTimeout bounds how long it takes to see that a Unix socket is in use.
const dialTimeout = time.Second

// Servers are the HTTP servers of a node.
type Servers struct {
	API     ma.Multiaddr // nil: none
	Gateway ma.Multiaddr // nil: none
	Metrics ma.Multiaddr // nil: none

	repo  repo.Repo
	doors []*door.Door
	node  *Node

	api, gateway *door.Door // nil: none
}

// Serve opens the API, the gateway and the metrics and tells other processes where they are.
// All ports are taken before anything is written or served.
func (n *Node) Serve() (s *Servers, err error) {
	s = &Servers{repo: n.Repo, node: n}
	var open []io.Closer
	defer func() {
		if err != nil {
			for _, l := range open {
				err = errors.Join(err, l.Close())
			}
		}
	}()
	take := func(what, addr string) (manet.Listener, error) {
		l, err := listen(what, addr)
		if l != nil {
			open = append(open, l)
		}
		return l, err
	}
	var api manet.Listener
	if n.api != nil {
		if api, err = take("API", n.Settings.Addresses.API); err != nil {
			return nil, err
		}
	}
	gw, err := take("Gateway", n.Settings.Addresses.Gateway)
	if err != nil {
		return nil, err
	}
	figures, err := take("Metrics", n.Settings.Addresses.Metrics)
	if err != nil {
		return nil, err
	}
	trusted, err := n.Settings.HTTP.Proxies()
	if err != nil {
		return nil, err
	}
	if api != nil {
		s.API = api.Multiaddr()
	}
	if gw != nil {
		s.Gateway = gw.Multiaddr()
	}
	apiHandler, gatewayHandler, err := s.handlers(&n.Settings)
	if err != nil {
		return nil, err
	}
	open = nil // the servers close them
	if gw != nil {
		s.gateway = s.serve(gw, gatewayHandler, gatewayDoor, trusted)
	}
	if figures != nil {
		s.Metrics = figures.Multiaddr()
		s.serve(figures, n.metricsHandler(), metricsDoor, trusted)
	}
	if api != nil {
		s.api = s.serve(api, apiHandler, apiDoor(n.api), trusted)
	}
	if err := n.Repo.WriteAddresses(text(s.API), s.GatewayURL()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// handlers are what the addresses of s serve by a config; nil where it has none.
func (s *Servers) handlers(c *repo.Config) (api, gateway http.Handler, err error) {
	if s.API != nil {
		if err := s.node.mayOpenAPI(c, s.API); err != nil {
			return nil, nil, err
		}
		if api, err = s.node.apiHandler(c); err != nil {
			return nil, nil, err
		}
	}
	if s.Gateway != nil {
		gateway, err = s.node.gatewayHandler(c)
	}
	return api, gateway, err
}

// Reload reads the config again and takes from it who may use the API, what the
// gateway offers, and HTTP. All else waits for the next start. On an error
// everything stays as it was.
func (s *Servers) Reload() error {
	c, err := s.repo.Config()
	if err != nil {
		return err
	}
	trusted, err := c.HTTP.Proxies()
	if err != nil {
		return err
	}
	api, gateway, err := s.handlers(&c)
	if err != nil {
		return err
	}
	if s.api != nil {
		s.api.Set(api, trusted)
	}
	if s.gateway != nil {
		s.gateway.Set(gateway, trusted)
	}
	return nil
}

func text(m ma.Multiaddr) string {
	if m == nil {
		return ""
	}
	return m.String()
}

// GatewayURL is where the gateway is, empty if there is none.
func (s *Servers) GatewayURL() string {
	if s.Gateway == nil {
		return ""
	}
	network, hostport, err := manet.DialArgs(s.Gateway)
	if err != nil || network == "unix" {
		return "" // a Unix socket has no URL
	}
	return "http://" + hostport
}

// Close stops serving, after the requests that are going on or a few seconds,
// and takes the addresses away.
func (s *Servers) Close() error {
	s.repo.RemoveAddresses()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout/2)
	defer cancel()
	var errs []error
	for _, d := range s.doors {
		errs = append(errs, d.Close(ctx))
	}
	return errors.Join(errs...)
}

func (s *Servers) serve(l manet.Listener, h http.Handler, o door.Options, trusted []netip.Prefix) *door.Door {
	o.Log = s.node.Log
	d := door.New(o, h, trusted)
	s.doors = append(s.doors, d)
	s.node.background(func() { _ = d.Serve(manet.NetListener(l)) }) // it ends by Close
	return d
}

// listen takes a port. what is the config key under Addresses.
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
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another with 'ipns config Addresses.%s /ip4/127.0.0.1/tcp/PORT'", addr, reason(err), what)
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
		return nil, fmt.Errorf("cannot listen on the Unix socket %s: %w; choose another path with 'ipns config Addresses.%s /unix/PATH'", path, reason(err), what)
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

func (n *Node) gatewayHandler(c *repo.Config) (http.Handler, error) {
	return gateway.New(gateway.Options{
		Content:   n.Content,
		Names:     n.Resolver,
		Routing:   n.routingHandler(c),
		NoFetch:   c.Gateway.NoFetch,
		NoDNSLink: c.Gateway.NoDNSLink,
		Headers:   c.Gateway.HTTPHeaders,
		Hosts:     gatewayHosts(c.Gateway.PublicGateways),

		TrustlessOnly:         !repo.On(c.Gateway.DeserializedResponses),
		RetrievalTimeout:      (*time.Duration)(c.Gateway.RetrievalTimeout),
		MaxRequestDuration:    orZero(c.Gateway.MaxRequestDuration),
		MaxConcurrentRequests: c.Gateway.MaxConcurrentRequests,
	})
}

func orZero(d *repo.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

func gatewayHosts(config map[string]*repo.GatewayHost) map[string]*gateway.Host {
	hosts := map[string]*gateway.Host{}
	for name, h := range config {
		if h == nil {
			hosts[name] = nil
			continue
		}
		var trustless *bool
		if h.DeserializedResponses != nil {
			trustless = new(!*h.DeserializedResponses)
		}
		hosts[name] = &gateway.Host{
			Paths:         h.Paths,
			UseSubdomains: h.UseSubdomains,
			InlineDNSLink: h.InlineDNSLink,
			NoDNSLink:     h.NoDNSLink,
			TrustlessOnly: trustless,
		}
	}
	return hosts
}

// apiHandler serves the API behind its guard.
func (n *Node) apiHandler(c *repo.Config) (http.Handler, error) {
	guard := &rpc.Guard{Next: n.api}
	guard.SetHeaders(c.API.HTTPHeaders)
	for name, a := range c.API.Authorizations {
		authorization, err := rpc.NewAuthorization(a.AuthSecret, a.AllowedPaths)
		if err != nil {
			return nil, fmt.Errorf("config setting API.Authorizations.%s: %w", name, err)
		}
		guard.Authorizations = append(guard.Authorizations, authorization)
	}
	return guard, nil
}
