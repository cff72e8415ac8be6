package node

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/goipns/ipns/gateway"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/routingapi"
	"github.com/goipns/ipns/internal/serve"
)

// Serve serves everything for which the config has an address: the API, the gateway, the
// metrics, the doors of hosting. The caller closes the servers before the node.
func (n *Node) Serve() (*serve.Servers, error) {
	s, err := serve.Start(&n.Settings, serve.Options{
		Repo: n.Repo, Log: n.Log, API: n.api, Gateway: n.gatewayHandler, Metrics: n.Metrics.Handler(),
		Hosting: n.hostingHandler, Ready: n.ready, Listeners: n.listeners, Timed: n.Metrics.Timed, Certificate: n.Metrics.AddCertificate,
	})
	n.Servers.Store(s)
	return s, err
}

// ready says whether the node may serve and sign.
func (n *Node) ready(ctx context.Context) serve.Ready {
	select {
	case <-n.stopping:
		return serve.Ready{Serve: "it stops", Sign: "it stops"}
	default:
		return serve.Ready{Sign: cmp.Or(n.Identity.Unready(), n.Records.Unready(ctx))}
	}
}

func (n *Node) gatewayHandler(c *repo.Config) (http.Handler, error) {
	rangeLimit, err := c.Gateway.RangeLimit()
	if err != nil {
		return nil, err
	}
	return gateway.New(gateway.Options{
		Content:   n.Content,
		Names:     n.Resolver,
		Routing:   n.routingHandler(c),
		Silent:    n.Book.Silent,
		NoFetch:   c.Gateway.NoFetch,
		NoDNSLink: c.Gateway.NoDNSLink,
		Headers:   c.Gateway.HTTPHeaders,
		Hosts:     gatewayHosts(c.Gateway.PublicGateways),

		RootRedirect:          c.Gateway.RootRedirect,
		PlainErrors:           c.Gateway.DisableHTMLErrors,
		ConvertCodecs:         c.Gateway.AllowCodecConversion,
		MaxRangeFile:          rangeLimit,
		Diagnose:              c.Gateway.DiagnosticServiceURL,
		TrustlessOnly:         !repo.On(c.Gateway.DeserializedResponses),
		RetrievalTimeout:      (*time.Duration)(c.Gateway.RetrievalTimeout),
		MaxRequestDuration:    orZero(c.Gateway.MaxRequestDuration),
		MaxConcurrentRequests: c.Gateway.MaxConcurrentRequests,
	})
}

// routingHandler serves what this node knows and finds to others over HTTP; nil if the
// config disables that. Offline it serves only records.
func (n *Node) routingHandler(c *repo.Config) http.Handler {
	if !repo.On(c.Gateway.ExposeRoutingAPI) {
		return nil
	}
	return n.routingAPI().Handler(c)
}

func (n *Node) routingAPI() routingapi.API {
	return routingapi.API{Network: n.Network, Names: n.Resolver, Opener: &n.Opener, Relay: n.relay}
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
		hosts[name] = &gateway.Host{Paths: h.Paths, UseSubdomains: h.UseSubdomains, InlineDNSLink: h.InlineDNSLink, NoDNSLink: h.NoDNSLink}
		if h.DeserializedResponses != nil {
			hosts[name].TrustlessOnly = new(!*h.DeserializedResponses)
		}
	}
	return hosts
}
