package routing_test

import (
	"testing"
	"time"

	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

func TestRouters(t *testing.T) {
	for name, open := range map[string]func() routing.Router{
		"Network":  func() routing.Router { return routingtest.New(30) },
		"Parallel": func() routing.Router { return routing.Parallel{routingtest.New(30), routingtest.New(0)} },
		"Tiered": func() routing.Router {
			return routing.Tiered{Tiers: []routing.Router{routingtest.New(30), routingtest.New(5)}}
		},
		"Bounded": func() routing.Router {
			return routing.Bounded{Router: routingtest.New(30), Timeout: time.Minute}
		},
		"Beside": func() routing.Router {
			return routing.Beside{Main: routingtest.New(30), Others: []routing.Router{router("h.example", 0, 0, nil)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			routingtest.TestRouter(t, func(*testing.T) routing.Router { return open() })
		})
	}
}

func TestPresence(t *testing.T) {
	for name, wrap := range map[string]func(*routingtest.Network) routing.Router{
		"Network":  func(n *routingtest.Network) routing.Router { return n },
		"Parallel": func(n *routingtest.Network) routing.Router { return routing.Parallel{n, routingtest.New(0)} },
		"Tiered":   func(n *routingtest.Network) routing.Router { return routing.Tiered{Tiers: []routing.Router{n}} },
		"Beside": func(n *routingtest.Network) routing.Router {
			return routing.Beside{Main: n, Others: []routing.Router{routingtest.New(0)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			routingtest.TestPresence(t, func(_ *testing.T, network string, p routingtest.Presence) routing.Router {
				return wrap(present(network, p))
			})
		})
	}
}

// present returns a network with the given presence.
func present(name string, p routingtest.Presence) *routingtest.Network {
	n := routingtest.New(20)
	n.Name, n.Timeout = name, 50*time.Millisecond
	switch p {
	case routingtest.Away:
		n.Expected = true
		for _, s := range n.Servers {
			s.Fault = routingtest.Dead
		}
	case routingtest.NeverMeant:
		n.Servers = nil
	case routingtest.RefusingAll:
		for _, s := range n.Servers {
			s.Fault = routingtest.Refusing
		}
	}
	return n
}
