package roads

import (
	"strings"
	"testing"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// router makes the Router that a config stands for. It closes what it opened.
func router(t *testing.T, c *repo.Config, dhts DHTs, pubsub routing.Router) (routing.Router, error) {
	t.Helper()
	r, err := Open(c, new(routing.Opener), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r.Router(dhts, pubsub)
}

// Each Routing.Type makes the roads it says, and no others. Only the DHTs count where
// there are any, so the rest stands beside them.
func TestEachRoutingTypeHasItsRoads(t *testing.T) {
	all, pubsub := routingtest.New(1), routingtest.New(1)
	dhts := DHTs{All: all, WAN: routingtest.New(1), LAN: routingtest.New(1)}
	const url = "https://router.example"
	for _, c := range []struct {
		kind    string
		routers []string
		pubsub  routing.Router
		main    routing.Router // nil: an HTTP router, or none
		others  int
		none    bool
		err     string
	}{
		{kind: "", main: all},
		{kind: "auto", routers: []string{url}, main: all, others: 1},
		{kind: "auto", routers: []string{url}, pubsub: pubsub, main: all, others: 2},
		{kind: "autoclient", pubsub: pubsub, main: all, others: 1},
		{kind: "dht", routers: []string{url}, main: all},
		{kind: "dhtclient", routers: []string{url}, pubsub: pubsub, main: all, others: 1},
		{kind: "dhtserver", main: all},
		{kind: "none", routers: []string{url}, none: true},
		{kind: "none", pubsub: pubsub, main: pubsub},
		{kind: "delegated", routers: []string{url}},
		{kind: "delegated", routers: []string{}, err: "neither Routing.DelegatedRouters nor"},
	} {
		config := repo.Config{Routing: repo.Routing{Type: c.kind, DelegatedRouters: c.routers}, Ipns: repo.Ipns{DelegatedPublishers: []string{}}}
		with := dhts
		if !config.HasDHT() {
			with = DHTs{}
		}
		got, err := router(t, &config, with, c.pubsub)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s %v: %v", c.kind, c.routers, err)
			}
			continue
		case err != nil, c.none != (got == nil):
			t.Errorf("%s %v: %v, %v", c.kind, c.routers, got, err)
			continue
		case c.none:
			continue
		}
		main, others := got, 0
		if b, ok := got.(routing.Beside); ok {
			main, others = b.Main, len(b.Others)
		}
		if c.main != nil && main != c.main || others != c.others {
			t.Errorf("%s %v: %T beside %d others, want %d", c.kind, c.routers, main, others, c.others)
		}
		if want := c.kind != "delegated"; want != (routing.RoadOf(got) == routing.DHT) {
			t.Errorf("%s: the road that counts is %v", c.kind, routing.RoadOf(got))
		}
	}
}

// A router that is asked and one that is put to are one client if they are one server,
// and what the config does not want of it is not done.
func TestHTTPRoutersDoWhatTheConfigWants(t *testing.T) {
	const asked, put = "https://asked.example", "https://put.example/routing/v1/ipns"
	r, err := Open(&repo.Config{
		Routing: repo.Routing{DelegatedRouters: []string{asked, "https://both.example/"}},
		Ipns:    repo.Ipns{DelegatedPublishers: []string{put, "https://both.example/routing/v1"}},
	}, new(routing.Opener), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(r.http) != 3 {
		t.Fatalf("%d clients for three servers", len(r.http))
	}
	for i, want := range []struct{ asks, puts bool }{{true, false}, {true, true}, {false, true}} {
		if h := r.http[i]; h.asks != want.asks || h.puts != want.puts {
			t.Errorf("router %d asks %v, puts %v, want %+v", i, h.asks, h.puts, want)
		}
	}
	if p, ok := r.Publishers().(routing.Parallel); !ok || len(p) != 2 {
		t.Errorf("the publishers are %v", r.Publishers())
	}
}
