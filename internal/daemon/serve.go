package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/net/netutil"

	"github.com/goipns/ipns/gateway"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

// Limits of the HTTP servers.
const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	maxAPIConns       = 256
	maxGatewayConns   = 2048
	maxMetricsConns   = 16
)

// Servers are the HTTP servers of a node.
type Servers struct {
	API     ma.Multiaddr // nil: none
	Gateway ma.Multiaddr // nil: none
	Metrics ma.Multiaddr // nil: none

	repo    repo.Repo
	servers []*http.Server
	node    *Node
}

// Serve opens the API, the gateway and the metrics and tells other processes where they are.
// All ports are taken before anything is written or served.
func (n *Node) Serve() (*Servers, error) {
	s := &Servers{repo: n.repo, node: n}
	api, err := listen("API", n.config.Addresses.API)
	if err != nil {
		return nil, err
	}
	gw, err := listen("Gateway", n.config.Addresses.Gateway)
	if err != nil {
		return nil, errors.Join(err, closeListener(api))
	}
	figures, err := listen("Metrics", n.config.Addresses.Metrics)
	if err != nil {
		return nil, errors.Join(err, closeListener(api), closeListener(gw))
	}
	if gw != nil {
		h, err := n.gatewayHandler()
		if err != nil {
			return nil, errors.Join(err, closeListener(api), closeListener(figures), gw.Close())
		}
		s.Gateway = gw.Multiaddr()
		s.serve(gw, h, maxGatewayConns)
	}
	if figures != nil {
		s.Metrics = figures.Multiaddr()
		s.serve(figures, n.metricsHandler(), maxMetricsConns)
	}
	if api != nil {
		s.API = api.Multiaddr()
		s.serve(api, n.apiHandler(), maxAPIConns)
	}
	if err := n.repo.WriteAddresses(text(s.API), s.GatewayURL()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
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
	_, hostport, err := manet.DialArgs(s.Gateway)
	if err != nil {
		return ""
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
	for _, srv := range s.servers {
		if err := srv.Shutdown(ctx); err != nil {
			errs = append(errs, srv.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *Servers) serve(l manet.Listener, h http.Handler, maxConns int) {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.node.log.Handler(), slog.LevelWarn),
	}
	s.servers = append(s.servers, srv)
	s.node.background(func() { _ = srv.Serve(netutil.LimitListener(manet.NetListener(l), maxConns)) })
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

func closeListener(l io.Closer) error {
	if l, ok := l.(manet.Listener); ok && l != nil {
		return l.Close()
	}
	return nil
}

func (n *Node) gatewayHandler() (http.Handler, error) {
	return gateway.New(gateway.Options{
		Content:   n.content,
		Names:     n.resolver,
		NoFetch:   n.config.Gateway.NoFetch,
		NoDNSLink: n.config.Gateway.NoDNSLink,
		Headers:   n.config.Gateway.HTTPHeaders,
		Hosts:     gatewayHosts(n.config.Gateway.PublicGateways),

		TrustlessOnly: !enabled(n.config.Gateway.DeserializedResponses),
	})
}

func gatewayHosts(config map[string]*repo.GatewayHost) map[string]*gateway.Host {
	hosts := map[string]*gateway.Host{}
	for name, h := range config {
		if h == nil {
			hosts[name] = nil
			continue
		}
		hosts[name] = &gateway.Host{
			Paths:         h.Paths,
			UseSubdomains: h.UseSubdomains,
			InlineDNSLink: h.InlineDNSLink,
			NoDNSLink:     h.NoDNSLink,
			TrustlessOnly: !enabled(h.DeserializedResponses),
		}
	}
	return hosts
}

func (n *Node) apiHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(rpc.Prefix, &rpc.Handler{Node: n, Offline: n.host == nil, Origins: n.config.API.HTTPHeaders["Access-Control-Allow-Origin"]})
	return mux
}
