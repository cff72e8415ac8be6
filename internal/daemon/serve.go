package daemon

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
	"strings"
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

// The doors of a node, with their limits. The gateway's handler limits its
// requests itself.
var (
	apiDoor = door.Options{
		Conns: 2048, PerAddress: 128, Requests: 256, Reserve: 64,
		Class: classOf, Unhurried: unhurried,
	}
	gatewayDoor = door.Options{Conns: 2048, PerAddress: 256, NoBodies: true}
	metricsDoor = door.Options{Conns: 16, NoBodies: true}
)

// classOf says which commands of the API are answered while others crowd it.
func classOf(r *http.Request) door.Class {
	command, _ := strings.CutPrefix(r.URL.Path, rpc.Prefix)
	switch command {
	case "version", "shutdown", "config", "config/show", "key/list", "key/ls",
		"swarm/peers", "swarm/addrs", "swarm/addrs/local", "swarm/addrs/listen":
		return door.Instant
	case "republish/status": // --watch lasts
		return door.Ordinary
	case "id":
		if r.URL.RawQuery == "" {
			return door.Instant
		}
		return door.Control // it may ask another peer
	}
	group, _, _ := strings.Cut(command, "/")
	switch group {
	case "name", "key", "swarm":
		return door.Control
	}
	return door.Ordinary
}

// unhurried tells which commands read files as the client makes them.
func unhurried(r *http.Request) bool {
	command, _ := strings.CutPrefix(r.URL.Path, rpc.Prefix)
	switch command {
	case "add", "dag/import", "block/put", "dag/put":
		return true
	}
	return false
}

// Servers are the HTTP servers of a node.
type Servers struct {
	API     ma.Multiaddr // nil: none
	Gateway ma.Multiaddr // nil: none
	Metrics ma.Multiaddr // nil: none

	repo  repo.Repo
	doors []*door.Door
	node  *Node
}

// Serve opens the API, the gateway and the metrics and tells other processes where they are.
// All ports are taken before anything is written or served.
func (n *Node) Serve() (s *Servers, err error) {
	s = &Servers{repo: n.repo, node: n}
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
	api, err := take("API", n.config.Addresses.API)
	if err != nil {
		return nil, err
	}
	gw, err := take("Gateway", n.config.Addresses.Gateway)
	if err != nil {
		return nil, err
	}
	figures, err := take("Metrics", n.config.Addresses.Metrics)
	if err != nil {
		return nil, err
	}
	trusted, err := n.config.HTTP.Proxies()
	if err != nil {
		return nil, err
	}
	var apiHandler, gatewayHandler http.Handler
	if api != nil {
		if err := n.mayOpenAPI(api.Multiaddr()); err != nil {
			return nil, err
		}
		if apiHandler, err = n.apiHandler(); err != nil {
			return nil, err
		}
	}
	if gw != nil {
		if gatewayHandler, err = n.gatewayHandler(); err != nil {
			return nil, err
		}
	}
	open = nil // the servers close them
	if gw != nil {
		s.Gateway = gw.Multiaddr()
		s.serve(gw, gatewayHandler, gatewayDoor, trusted)
	}
	if figures != nil {
		s.Metrics = figures.Multiaddr()
		s.serve(figures, n.metricsHandler(), metricsDoor, trusted)
	}
	if api != nil {
		s.API = api.Multiaddr()
		s.serve(api, apiHandler, apiDoor, trusted)
	}
	if err := n.repo.WriteAddresses(text(s.API), s.GatewayURL()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// mayOpenAPI refuses an API that others than this machine's users reach and
// that asks for no secret, unless the config wants that.
func (n *Node) mayOpenAPI(m ma.Multiaddr) error {
	if isLocal(m) || len(n.config.API.Authorizations) > 0 {
		return nil
	}
	if !n.config.API.AllowUnauthenticated {
		return fmt.Errorf("the API on %s would obey everybody who reaches that address, and publish with every key. Choose one: "+
			"keep it here ('ipns config Addresses.API /ip4/127.0.0.1/tcp/5001'), ask for a secret (API.Authorizations), "+
			"or leave it open behind a firewall ('ipns config --json API.AllowUnauthenticated true')", m)
	}
	n.log.Warn("the API obeys everybody who reaches its address, as API.AllowUnauthenticated in the config wants", "address", m)
	return nil
}

// isLocal tells whether only this machine reaches an address.
func isLocal(m ma.Multiaddr) bool {
	if _, err := m.ValueForProtocol(ma.P_UNIX); err == nil {
		return true
	}
	ip, err := manet.ToIP(m)
	return err == nil && ip.IsLoopback()
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

func (s *Servers) serve(l manet.Listener, h http.Handler, o door.Options, trusted []netip.Prefix) {
	o.Log = s.node.log
	d := door.New(o, h, trusted)
	s.doors = append(s.doors, d)
	s.node.background(func() { _ = d.Serve(manet.NetListener(l)) }) // it ends by Close
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

func (n *Node) gatewayHandler() (http.Handler, error) {
	return gateway.New(gateway.Options{
		Content:   n.content,
		Names:     n.resolver,
		NoFetch:   n.config.Gateway.NoFetch,
		NoDNSLink: n.config.Gateway.NoDNSLink,
		Headers:   n.config.Gateway.HTTPHeaders,
		Hosts:     gatewayHosts(n.config.Gateway.PublicGateways),

		TrustlessOnly:         !enabled(n.config.Gateway.DeserializedResponses),
		RetrievalTimeout:      (*time.Duration)(n.config.Gateway.RetrievalTimeout),
		MaxRequestDuration:    orZero(n.config.Gateway.MaxRequestDuration),
		MaxConcurrentRequests: n.config.Gateway.MaxConcurrentRequests,
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
func (n *Node) apiHandler() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle(rpc.Prefix, &rpc.Handler{Node: n, Offline: n.host == nil})
	guard := &rpc.Guard{Next: mux}
	guard.SetHeaders(n.config.API.HTTPHeaders)
	for name, a := range n.config.API.Authorizations {
		authorization, err := rpc.NewAuthorization(a.AuthSecret, a.AllowedPaths)
		if err != nil {
			return nil, fmt.Errorf("config setting API.Authorizations.%s: %w", name, err)
		}
		guard.Authorizations = append(guard.Authorizations, authorization)
	}
	return guard, nil
}
