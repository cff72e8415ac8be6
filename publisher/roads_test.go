package publisher_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// httpRouter is an HTTP router with a fault.
func httpRouter(name string, fault routingtest.Fault, delay time.Duration) *routingtest.Network {
	n := routingtest.New(1)
	n.Name, n.On, n.Now = name, routing.HTTP, func() time.Time { return epoch }
	n.Servers[0].Fault, n.Servers[0].Delay = fault, delay
	return n
}

// beside is a site on a DHT whose servers take 100 ms, with HTTP routers beside it.
func beside(t *testing.T, servers int, others ...routing.Router) *site {
	s := newSite(t, servers)
	for _, server := range s.net.Servers {
		server.Delay = 100 * time.Millisecond
	}
	s.Router = routing.Beside{Main: s.net, Others: others}
	return s
}

// A publish returns when the DHT has the record, also one of few servers, and whatever
// it waits for but all: an HTTP router that hangs delays nothing.
func TestAHangingHTTPRouterDelaysNoPublish(t *testing.T) {
	for _, servers := range []int{3, 30} {
		for _, wait := range []publisher.Wait{publisher.WaitDefault, 3, publisher.WaitAll} {
			synctest.Test(t, func(t *testing.T) {
				s := beside(t, servers, httpRouter("h.example", routingtest.Dead, 0))
				begin := time.Now()
				res, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa", Wait: wait})
				took := time.Since(begin)
				switch {
				case wait == publisher.WaitAll:
					var not *publisher.NotAnnouncedError
					if !errors.As(err, &not) || took < s.net.Timeout {
						t.Errorf("all have it after %v, though one does not: %v", took, err)
					}
				case err != nil || took > 500*time.Millisecond:
					t.Errorf("%d servers, wait %v: published after %v, %v", servers, wait, took, err)
				}
				if err := s.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				u, err := s.Book.Upkeep(t.Context(), s.key.Name)
				if k, of := u.Receipt.On(routing.HTTP); err != nil || u.Holders != min(servers, 20) || u.LastErr != "" || k != 0 || of != 1 {
					t.Errorf("noted %+v, %v; the router's failure is to be seen in it", u, err)
				}
				if res.Receipt.Holders("") < min(servers, 3) {
					t.Errorf("the receipt says %v", res.Receipt)
				}
			})
		}
	}
}

// What an HTTP router took is none of the 20: neither what was waited for, nor a reason
// to let a name rest.
func TestAnHTTPRouterIsNoServer(t *testing.T) {
	for _, tc := range []struct {
		name     string
		expected string
		wait     publisher.Wait
		spoil    func(*routingtest.Network)
	}{
		{"away", "wan", publisher.WaitDefault, func(n *routingtest.Network) { n.Servers, n.Expected = nil, true }},
		{"refusing", "", publisher.WaitDefault, func(n *routingtest.Network) { spoil(n, 20, routingtest.Refusing) }},
		{"silent", "wan", publisher.WaitDefault, func(n *routingtest.Network) { spoil(n, 20, routingtest.Dead) }},
		{"one takes it", "", 2, func(n *routingtest.Network) { spoil(n, 19, routingtest.Refusing) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := beside(t, 20, httpRouter("h.example", routingtest.Honest, time.Second))
				tc.spoil(s.net)
				s.Expected = func() string { return tc.expected }
				res, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa", Wait: tc.wait})
				var not *publisher.NotAnnouncedError
				if !errors.As(err, &not) || errors.Is(err, routing.ErrAway) != (tc.name == "away") {
					t.Errorf("%v, %v", res.Receipt, err)
				}
				if err := s.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				u, err := s.Book.Upkeep(t.Context(), s.key.Name)
				if err != nil || u.LastErr == "" || u.Holders > 1 || u.Due.Sub(u.LastPut) > time.Minute {
					t.Errorf("noted %+v, %v; it is to be tried again soon", u, err)
				}
				if k, of := u.Receipt.On(routing.HTTP); k != 1 || of != 1 {
					t.Errorf("the receipt has %d of %d HTTP routers", k, of)
				}
			})
		})
	}
}

// Where HTTP is the only road, its routers are the measure.
func TestHTTPRoutersCountWhereTheyAreAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := httpRouter("a.example", routingtest.Honest, time.Second), httpRouter("b.example", routingtest.Honest, 2*time.Second)
		s := newSite(t, 0)
		s.Router = routing.Parallel{a, b}
		res := s.publish(t, "/ipfs/bafkqaaa")
		if k, of := res.Receipt.Announced(); k != 2 || of != 2 || !res.Complete {
			t.Errorf("announced to %d of %d, complete %v", k, of, res.Complete)
		}
		u, err := s.Book.Upkeep(t.Context(), s.key.Name)
		if err != nil || u.Holders != 2 || u.LastErr != "" {
			t.Errorf("noted %+v, %v", u, err)
		}
		b.Servers[0].Fault = routingtest.Refusing
		again := s.publish(t, "/ipfs/bafkqaaa/b")
		if k, of := again.Receipt.Announced(); k != 1 || of != 2 {
			t.Errorf("announced to %d of %d", k, of)
		}
		if u, err = s.Book.Upkeep(t.Context(), s.key.Name); err != nil || u.LastErr == "" {
			t.Errorf("noted %+v, %v; one of two refused", u, err)
		}
	})
}
