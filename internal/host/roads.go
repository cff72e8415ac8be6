package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	corerouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
)

// httpRouter is an HTTP router as the config wants it: to ask, to put to, or both.
type httpRouter struct {
	*delegated.Client
	asks, puts bool
}

func (h *httpRouter) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	if !h.asks {
		return nobody[routing.Answer]
	}
	return h.Client.Search(ctx, name)
}

func (h *httpRouter) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	if !h.puts {
		return nobody[routing.Ack]
	}
	return h.Client.Put(ctx, rec, look)
}

func nobody[T any](yield func(T, error) bool) {
	var zero T
	yield(zero, routing.ErrNoTargets)
}

// OpenHTTP makes what the config says of HTTP routers. It dials nobody, and an offline
// node has them as well: see Publishers.
func (n *Network) OpenHTTP(c *repo.Config, opener *routing.Opener, agent string) error {
	n.config, n.opener, n.agent = c, opener, agent
	routers, publishers := c.HTTPRouters()
	byURL := map[string]*httpRouter{}
	add := func(key, url string) (*httpRouter, error) {
		base := strings.TrimRight(url, "/")
		base = strings.TrimSuffix(strings.TrimSuffix(base, "/ipns"), "/routing/v1")
		if h := byURL[base]; h != nil {
			return h, nil
		}
		client, err := n.newClient(base)
		if err != nil {
			return nil, fmt.Errorf("config %s: %w", key, err)
		}
		h := &httpRouter{Client: client}
		byURL[base] = h
		n.http = append(n.http, h)
		return h, nil
	}
	for _, url := range routers {
		h, err := add("Routing.DelegatedRouters", url)
		if err != nil {
			return err
		}
		h.asks = true
	}
	for _, url := range publishers {
		h, err := add("Ipns.DelegatedPublishers", url)
		if err != nil {
			return err
		}
		h.puts = true
	}
	return nil
}

func (n *Network) newClient(url string) (*delegated.Client, error) {
	client, err := delegated.New(delegated.Config{URL: url, Opener: n.opener, UserAgent: n.agent})
	if err == nil {
		n.closers = append(n.closers, client.Close)
	}
	return client, err
}

// Publishers are the HTTP routers of Ipns.DelegatedPublishers, to which a name can be
// put, and asked for it, without any other network; nil: the config has none.
func (n *Network) Publishers() routing.Router {
	var all routing.Parallel
	for _, h := range n.http {
		if h.puts {
			all = append(all, h.Client)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// Roads are all networks on which a node puts and searches names, with one by pubsub if
// that is not nil. It returns nil for a node that has none.
func (n *Network) Roads(pubsub routing.Router) (routing.Router, error) {
	if n.Host == nil {
		return nil, nil
	}
	var main routing.Router
	var others []routing.Router
	switch n.config.Routing.Type {
	case "none":
	case "delegated":
		all := n.httpRouters()
		if len(all) == 0 {
			return nil, errors.New("config Routing.Type is delegated, but neither Routing.DelegatedRouters nor Ipns.DelegatedPublishers has a router for names")
		}
		main = routing.Parallel(all)
	case "custom":
		var err error
		if main, err = n.custom(); err != nil {
			return nil, fmt.Errorf("config Routing: %w", err)
		}
	case "", "auto", "autoclient":
		main, others = n.Router(), n.httpRouters()
	default:
		main = n.Router()
	}
	switch {
	case main == nil:
		return pubsub, nil
	case pubsub != nil:
		others = append(others, pubsub)
	}
	if len(others) == 0 {
		return main, nil
	}
	return routing.Beside{Main: main, Others: others}, nil
}

func (n *Network) httpRouters() (all []routing.Router) {
	for _, h := range n.http {
		all = append(all, h)
	}
	return all
}

// custom makes the routers of a custom routing.
func (n *Network) custom() (routing.Router, error) {
	c := &n.config.Routing
	if err := c.CheckCustom(); err != nil {
		return nil, err
	}
	made := map[string]routing.Router{}
	put, err := n.customRouter(c.Methods["put-ipns"].RouterName, made)
	if err != nil {
		return nil, err
	}
	get, err := n.customRouter(c.Methods["get-ipns"].RouterName, made)
	if err != nil {
		return nil, err
	}
	return routing.Split{Putter: put, Searcher: get}, nil
}

// customRouter returns the router with a name, which is made once. It was checked that
// none contains itself.
func (n *Network) customRouter(name string, made map[string]routing.Router) (routing.Router, error) {
	if r := made[name]; r != nil {
		return r, nil
	}
	c := n.config.Routing.Routers[name]
	var r routing.Router
	switch p := c.Parameters; c.Type {
	case "http":
		client, err := n.newClient(p.Endpoint)
		if err != nil {
			return nil, fmt.Errorf("router %q: %w", name, err)
		}
		r = client
	case "dht":
		one := routing.Parallel{n.DHT.LAN}
		if p.PublicIPNetwork {
			one = routing.Parallel{n.DHT.WAN}
		}
		r = joining{one, n}
	default:
		steps := make([]routing.Router, len(p.Routers))
		for i, s := range p.Routers {
			step, err := n.customRouter(s.RouterName, made)
			if err != nil {
				return nil, err
			}
			b := routing.Bounded{Router: step, Timeout: time.Duration(s.Timeout), IgnoreErrors: s.IgnoreErrors}
			if c.Type == "parallel" {
				b.After = time.Duration(s.ExecuteAfter)
			}
			steps[i] = b
		}
		r = routing.Parallel(steps)
		if c.Type == "sequential" {
			r = routing.Tiered{Tiers: steps}
		}
		if p.Timeout > 0 {
			r = routing.Bounded{Router: r, Timeout: time.Duration(p.Timeout)}
		}
	}
	made[name] = r
	return r, nil
}

// noContent is the content routing of a node without a DHT: it knows of nobody.
type noContent struct{}

func (noContent) Provide(context.Context, cid.Cid, bool) error { return corerouting.ErrNotSupported }

func (noContent) FindProvidersAsync(context.Context, cid.Cid, int) <-chan peer.AddrInfo {
	none := make(chan peer.AddrInfo)
	close(none)
	return none
}
