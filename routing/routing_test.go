package routing_test

import (
	"testing"

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
	} {
		t.Run(name, func(t *testing.T) {
			routingtest.TestRouter(t, func(*testing.T) routing.Router { return open() })
		})
	}
}
