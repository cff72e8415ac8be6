package resolver

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// beside puts HTTP routers beside the fixture's network.
func (f *fixture) beside(others ...*routingtest.Network) {
	b := routing.Beside{Main: f.net}
	for _, r := range others {
		b.Others = append(b.Others, r)
	}
	f.Router = b
}

func httpRouter(fault routingtest.Fault, delay time.Duration) *routingtest.Network {
	n := routingtest.New(1)
	n.Name, n.On = "h.example", routing.HTTP
	n.Servers[0].ID, n.Servers[0].Fault, n.Servers[0].Delay = "https://h.example", fault, delay
	return n
}

// With the DHT unreachable a resolve takes as long as the HTTP router; with the router
// hanging, as long as the DHT.
func TestEachRoadAnswersWithoutTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		for _, s := range f.net.Servers {
			s.Fault = routingtest.Dead
		}
		h := httpRouter(0, 300*time.Millisecond)
		hold(rec, h.Servers...)
		f.beside(h)
		begin := time.Now()
		if hop := f.leads(rec.Name(), Options{}, pathA); time.Since(begin) != 300*time.Millisecond || hop.Network != "h.example" {
			t.Errorf("%s after %v", hop.Network, time.Since(begin))
		}
	})
	for _, c := range []Confidence{First, 1, 20} {
		synctest.Test(t, func(t *testing.T) {
			f, n := newFixture(t), newName(t)
			rec := n.record(1, pathA)
			hold(rec, f.net.Servers...)
			f.beside(httpRouter(routingtest.Dead, 0))
			begin := time.Now()
			hop := f.leads(rec.Name(), Options{Confidence: c}, pathA)
			if time.Since(begin) != delay || hop.Network != "wan" {
				t.Errorf("confidence %v: %s after %v", c, hop.Network, time.Since(begin))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		f.beside(httpRouter(routingtest.Dead, 0))
		begin := time.Now()
		f.fails(mustName(t, n).String(), Options{}, ErrNotFound)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("that nobody has it was known after %v", took)
		}
	})
}

// What an HTTP router says is never counted as a server's word, and is told beside it.
func TestAnHTTPRouterIsNoServerThatAgrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		hold(rec, f.net.Servers[:2]...)
		h := httpRouter(0, time.Millisecond)
		hold(rec, h.Servers...)
		f.beside(h)
		begin := time.Now()
		hop := f.leads(rec.Name(), Options{Confidence: 1}, pathA)
		if time.Since(begin) != delay || hop.Agree < 1 {
			t.Errorf("%d agree after %v, the servers take %v", hop.Agree, time.Since(begin), delay)
		}
		hop = f.leads(rec.Name(), Options{Confidence: All, NoCache: true}, pathA)
		if hop.Agree != 2 || hop.Answered != 20 || !hop.Complete {
			t.Errorf("%d of %d agree, complete %v", hop.Agree, hop.Answered, hop.Complete)
		}
		if agree, answered := hop.On(routing.HTTP); agree != 1 || answered != 1 {
			t.Errorf("%d of %d HTTP routers agree", agree, answered)
		}
		if agree, answered := hop.On(routing.DHT); agree != 2 || answered != 20 {
			t.Errorf("%d of %d servers agree", agree, answered)
		}
	})
}

// A router with an old record does not keep a search from settling: caches are old at
// times, and servers are asked for what is new.
func TestAnOldRouterDoesNotUnsettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(2, pathB)
		hold(rec, f.net.Servers...)
		for i, s := range f.net.Servers[8:] {
			s.Delay = time.Duration(i+2) * time.Second
		}
		h := httpRouter(0, time.Millisecond)
		hold(n.record(1, pathA), h.Servers...)
		f.beside(h)
		f.leads(rec.Name(), Options{}, pathA)
		begin := time.Now()
		hop := f.leads(rec.Name(), Options{Confidence: 8}, pathB)
		if took := time.Since(begin); took > delay || hop.Agree != 8 {
			t.Errorf("%d agree after %v", hop.Agree, took)
		}
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.running) != 0 {
			t.Error("the search goes on, though 8 servers agree and none says anything else")
		}
	})
}

// Where HTTP is the only road, its routers are those that must agree.
func TestHTTPRoutersAgreeWhereTheyAreAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		fast, slow, hangs := httpRouter(0, 100*time.Millisecond), httpRouter(0, 200*time.Millisecond), httpRouter(routingtest.Dead, 0)
		for i, r := range []*routingtest.Network{fast, slow, hangs} {
			r.Servers[0].ID += string(rune('a' + i))
		}
		hold(rec, fast.Servers[0], slow.Servers[0])
		f.Router = routing.Parallel{fast, slow, hangs}
		begin := time.Now()
		hop := f.leads(rec.Name(), Options{Confidence: 2}, pathA)
		if time.Since(begin) != 200*time.Millisecond || hop.Agree != 2 || hop.Answered != 2 {
			t.Errorf("%d of %d agree after %v", hop.Agree, hop.Answered, time.Since(begin))
		}
		var unknown *UnknownError
		if err := f.fails(mustName(t, newName(t)).String(), Options{}, nil); !errors.As(err, &unknown) {
			t.Errorf("one of three did not answer, and yet %v", err)
		}
	})
}
