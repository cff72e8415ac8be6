package routingapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/internal/relay"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/serve"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
)

// Limits of a Server, which keeps what it has seen in memory.
const (
	routingMarks = 100_000 // names whose mark is kept
	routingCache = 8_192   // names that are answered without a search, if the config does not say
)

// A Server answers others under /routing/v1 on the gateway's address, and is nothing
// else: it serves no DHT and listens to no peers, opens neither keys nor the database, and
// knows nothing after a restart but the servers that it had found. Its peer id is new each
// time.
type Server struct {
	Servers *serve.Servers

	network *host.Network
	names   *resolver.Resolver
	api     API
	stop    context.CancelFunc
	running sync.WaitGroup
}

// ServerOptions are settings of a [Server] that are not in the config.
type ServerOptions struct {
	Agent     string                  // the agent version that others see
	Bootstrap []string                // multiaddrs of peers, in addition to those of the config
	Listeners map[string]net.Listener // instead of addresses of the config, by their keys
	Log       *slog.Logger
}

// Serve starts a Server with the config of a repo, whose lock the caller holds until it is
// closed.
func Serve(ctx context.Context, r repo.Repo, o ServerOptions) (*Server, error) {
	settings, err := r.Config()
	if err != nil {
		return nil, err
	}
	switch {
	case settings.Addresses.Gateway == "":
		return nil, errors.New("config Addresses.Gateway is empty: there is no address to serve /routing/v1 on")
	case !repo.On(settings.Gateway.ExposeRoutingAPI):
		return nil, errors.New("config Gateway.ExposeRoutingAPI is false: there is nothing to serve")
	}
	settings.Routing.Type = "dhtclient"
	settings.Addresses.Swarm = nil
	settings.Swarm.DisableNatPortMap = true
	settings.Swarm.RelayClient.Enabled = new(false)
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{network: host.New(r, o.Log), stop: stop}
	if err := s.open(ctx, life, r, &settings, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) open(ctx, life context.Context, r repo.Repo, settings *repo.Config, o ServerOptions) error {
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		return fmt.Errorf("make an identity: %w", err)
	}
	opener := &routing.Opener{}
	book := &names.Book{Store: recordstore.NewMemory(), SeenLimit: routingMarks, Log: o.Log}
	older := func(ctx context.Context, rec *ipns.Record) bool {
		mark, err := book.Seen(ctx, rec.Name())
		return err == nil && mark.Compare(recordstore.MarkOf(rec)) > 0
	}
	err = s.network.Open(ctx, settings, host.Options{
		Key: key, Agent: o.Agent, Bootstrap: o.Bootstrap, Opener: opener, Older: older,
		Store:    dssync.MutexWrap(datastore.NewMapDatastore()), // a client keeps nothing for others
		Scarce:   func() bool { return true },
		Received: func(*ipns.Record) {},
	})
	if err != nil {
		return err
	}
	s.names = &resolver.Resolver{
		Book: book, Router: s.network.Router(), Opener: opener,
		MaxCacheTTL: settings.Ipns.CacheBound(), CacheSize: cmp.Or(settings.Ipns.ResolveCacheSize, routingCache),
	}
	s.api = API{
		Network: s.network, Names: s.names, Opener: opener,
		Relay: relay.New(life, s.running.Go, book, s.names, s.network.Router()),
	}
	s.running.Go(func() { _ = book.Run(life) })
	s.running.Go(func() { _ = s.network.Run(life) })
	s.Servers, err = serve.Start(settings, serve.Options{Repo: r, Log: o.Log, Listeners: o.Listeners, Gateway: s.handler, Metrics: promhttp.Handler()})
	return err
}

func (s *Server) handler(c *repo.Config) (http.Handler, error) {
	return withHeaders(c.Gateway.HTTPHeaders, s.api.Handler(c)), nil
}

// withHeaders adds headers of the operator to every answer.
func withHeaders(headers map[string][]string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for key, values := range headers {
			w.Header()[http.CanonicalHeaderKey(key)] = values
		}
		next.ServeHTTP(w, r)
	})
}

// Close stops the server and waits until it has stopped.
func (s *Server) Close() error {
	var errs []error
	if s.Servers != nil {
		errs = append(errs, s.Servers.Close())
	}
	s.stop()
	if s.names != nil {
		errs = append(errs, s.names.Close())
	}
	s.running.Wait()
	return errors.Join(append(errs, s.network.Close())...)
}
