// Package roads makes of the config of a node the Router by which it puts and searches
// names: its DHTs, HTTP routers, pubsub, and how they combine; and the Finder by which it
// finds content and peers.
//
// Invariant: an HTTP router is dialled only for what the config wants of it: to ask, to
// put to, or both.
package roads

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

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

// DHTs are the Routers of the DHTs of a node: of both together, and of each. They are nil
// for a node that has none.
type DHTs struct{ All, WAN, LAN routing.Router }

// Roads are the HTTP routers of a node, and what its config says of all roads. The caller
// must Close them.
type Roads struct {
	config *repo.Config
	opener *routing.Opener
	agent  string
	http   []*httpRouter
	made   []*delegated.Client
	idle   []func() // close what HTTP clients keep open
}

// Open makes the HTTP routers that the config has. It dials nobody, and an offline node
// has them as well: see Publishers. agent is what they are told of who asks.
func Open(c *repo.Config, opener *routing.Opener, agent string) (*Roads, error) {
	n := &Roads{config: c, opener: opener, agent: agent}
	if err := n.openHTTP(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Close closes the HTTP routers.
func (n *Roads) Close() error {
	var errs []error
	for _, client := range n.made {
		errs = append(errs, client.Close())
	}
	for _, closeIdle := range n.idle {
		closeIdle()
	}
	n.made, n.idle = nil, nil
	return errors.Join(errs...)
}

func (n *Roads) openHTTP() error {
	routers, publishers := n.config.HTTPRouters()
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

func (n *Roads) newClient(url string) (*delegated.Client, error) {
	client, err := delegated.New(delegated.Config{URL: url, Opener: n.opener, UserAgent: n.agent})
	if err == nil {
		n.made = append(n.made, client)
	}
	return client, err
}

// Publishers are the HTTP routers of Ipns.DelegatedPublishers, to which a name can be
// put, and asked for it, without any other network; nil: the config has none.
func (n *Roads) Publishers() routing.Router {
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

// Router returns the Router for all roads on which the node puts and searches names, with
// pubsub if that is not nil; nil for a node that has none.
func (n *Roads) Router(dhts DHTs, pubsub routing.Router) (routing.Router, error) {
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
		if main, err = n.custom(dhts); err != nil {
			return nil, fmt.Errorf("config Routing: %w", err)
		}
	case "", "auto", "autoclient":
		main, others = dhts.All, n.httpRouters()
	default:
		main = dhts.All
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

func (n *Roads) httpRouters() (all []routing.Router) {
	for _, h := range n.http {
		all = append(all, h)
	}
	return all
}

// custom makes the routers of a custom routing.
func (n *Roads) custom(dhts DHTs) (routing.Router, error) {
	c := &n.config.Routing
	if err := c.CheckCustom(); err != nil {
		return nil, err
	}
	made := map[string]routing.Router{}
	put, err := n.customRouter(c.Methods["put-ipns"].RouterName, dhts, made)
	if err != nil {
		return nil, err
	}
	get, err := n.customRouter(c.Methods["get-ipns"].RouterName, dhts, made)
	if err != nil {
		return nil, err
	}
	return routing.Split{Putter: put, Searcher: get}, nil
}

// customRouter returns the router with a name, which is made once. It was checked that
// none contains itself.
func (n *Roads) customRouter(name string, dhts DHTs, made map[string]routing.Router) (routing.Router, error) {
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
		if r = dhts.LAN; p.PublicIPNetwork {
			r = dhts.WAN
		}
	default:
		steps := make([]routing.Router, len(p.Routers))
		for i, s := range p.Routers {
			step, err := n.customRouter(s.RouterName, dhts, made)
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
