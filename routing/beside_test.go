package routing_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// router returns an HTTP router with a fault and a delay.
func router(name string, fault routingtest.Fault, delay time.Duration, rec *ipns.Record) *routingtest.Network {
	r := net(name, 1, delay, rec)
	r.On, r.Servers[0].Fault = routing.HTTP, fault
	return r
}

// first returns the first record that a search yields, and how long it took.
func first(t *testing.T, r routing.Router, name ipns.Name) (rec *ipns.Record, after time.Duration) {
	begin := time.Now()
	for a, err := range r.Search(t.Context(), name) {
		if err != nil {
			return nil, time.Since(begin)
		}
		if a.Record != nil {
			return a.Record, time.Since(begin)
		}
	}
	return nil, time.Since(begin)
}

// faults are the ways in which an HTTP router beside the DHT can fail.
var faults = map[string]func(rec *ipns.Record) *routingtest.Network{
	"away": func(*ipns.Record) *routingtest.Network {
		r := router("h.example", routingtest.Dead, 0, nil)
		r.Servers, r.Expected = nil, true
		return r
	},
	"slow":    func(rec *ipns.Record) *routingtest.Network { return router("h.example", 0, 9*time.Second, rec) },
	"hanging": func(*ipns.Record) *routingtest.Network { return router("h.example", routingtest.Dead, 0, nil) },
	"lying": func(rec *ipns.Record) *routingtest.Network {
		return router("h.example", routingtest.Forging, time.Millisecond, rec)
	},
	"denying": func(rec *ipns.Record) *routingtest.Network {
		return router("h.example", routingtest.Denying, time.Millisecond, rec)
	},
	"refusing": func(rec *ipns.Record) *routingtest.Network {
		return router("h.example", routingtest.Refusing, time.Millisecond, nil)
	},
	"limiting": func(rec *ipns.Record) *routingtest.Network {
		return router("h.example", routingtest.Limiting, time.Millisecond, nil)
	},
}

// Whatever an HTTP router does, the DHT's answer is not delayed, the search is as
// complete as the DHT's own, and a put counts as done when it is done on the DHT. The
// receipt has the router's failure.
func TestAFaultyHTTPRouterDelaysAndHidesNothing(t *testing.T) {
	const dht = 100 * time.Millisecond
	rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	for fault, open := range faults {
		for _, has := range []bool{true, false} {
			t.Run(fmt.Sprint(fault, has), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					held := rec
					if !has {
						held = nil
					}
					both := routing.Beside{Main: net("wan", 25, dht, held), Others: []routing.Router{open(held)}}
					clock := func() time.Time { return rec.EOL().Add(-time.Hour) }
					both.Main.(*routingtest.Network).Now, both.Others[0].(*routingtest.Network).Now = clock, clock
					if found, after := first(t, both, rec.Name()); has && (found == nil || after != dht) {
						t.Errorf("found %v after %v, the DHT takes %v", found != nil, after, dht)
					}
					begin := time.Now()
					answers, err := found(both.Search(t.Context(), rec.Name()))
					if took := time.Since(begin); err != nil || took > dht+500*time.Millisecond {
						t.Errorf("the whole search took %v and ended with %v; the DHT is complete", took, err)
					}
					if (newest(answers) != nil) != has {
						t.Errorf("found %v, want %v", newest(answers) != nil, has)
					}
				})
			})
		}
		t.Run(fault+" put", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				both := routing.Beside{Main: net("wan", 25, dht, nil), Others: []routing.Router{open(nil)}}
				clock := func() time.Time { return rec.EOL().Add(-time.Hour) }
				both.Main.(*routingtest.Network).Now, both.Others[0].(*routingtest.Network).Now = clock, clock
				var receipt routing.Receipt
				begin, counted := time.Now(), time.Duration(-1)
				look := routing.Look{Counted: func(err error) {
					counted = time.Since(begin)
					if k, of := receipt.Announced(); k != 20 || of != 20 || err != nil {
						t.Errorf("%d of %d servers have it when those that count are said to be done, with %v", k, of, err)
					}
				}}
				for ack, err := range both.Put(t.Context(), rec, look) {
					if err != nil {
						receipt.End(err)
						break
					}
					receipt.Add(ack)
				}
				if counted != dht {
					t.Errorf("those that count were done after %v, the DHT takes %v", counted, dht)
				}
				if k, of := receipt.Announced(); k != 20 || of != 20 || receipt.Holders("") != 20 {
					t.Errorf("announced to %d of %d, %d hold it", k, of, receipt.Holders(""))
				}
				k, of := receipt.On(routing.HTTP)
				if takes := fault == "slow" || fault == "lying" || fault == "denying"; of != 1 || (k == 1) != takes {
					t.Errorf("the receipt has %d of %d HTTP routers", k, of)
				}
			})
		})
	}
}

// If the DHT is away or silent, the HTTP router's answer comes as fast as without the
// DHT.
func TestAnHTTPRouterAnswersWithoutTheDHT(t *testing.T) {
	const http = 300 * time.Millisecond
	rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	for name, main := range map[string]*routingtest.Network{
		"away": away("wan", 0), "silent": dead("wan", 20), "none": net("wan", 0, 0, nil), "failing": failing(errNo),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := router("h.example", 0, http, rec)
				h.Now = func() time.Time { return rec.EOL().Add(-time.Hour) }
				both := routing.Beside{Main: main, Others: []routing.Router{h}}
				if found, after := first(t, both, rec.Name()); found == nil || after != http {
					t.Errorf("found %v after %v, the router takes %v", found != nil, after, http)
				}
				_, err := found(both.Search(t.Context(), rec.Name()))
				var part *routing.IncompleteError
				if complete := name == "none"; (err == nil) != complete || !complete && !errors.As(err, &part) {
					t.Errorf("the search ended with %v", err)
				}
			})
		})
	}
}

// The headline of a receipt is that of one road; the others are mentioned.
func TestAReceiptCountsOneRoad(t *testing.T) {
	http := func(host string, err error) routing.Ack {
		return routing.Ack{Target: "https://" + host, Network: host, Road: routing.HTTP, Of: 1, Err: err}
	}
	pubsub := func(i int) routing.Ack {
		return routing.Ack{Target: fmt.Sprint("peer", i), Network: "pubsub", Road: routing.PubSub, Of: 3}
	}
	for _, tc := range []struct {
		acks    []routing.Ack
		err     error
		k, of   int
		holders int
		away    bool
		text    string
	}{
		{acks: []routing.Ack{http("a", nil), pubsub(1), pubsub(2), pubsub(3), wan(1, nil)}, k: 1, of: 20, holders: 1, text: "announced to 1 of 20, 1 HTTP router, 3 pubsub peers"},
		{acks: []routing.Ack{http("a", nil), wan(1, errNo)}, k: 0, of: 20, text: "announced to 0 of 20, 1 HTTP router"},
		{acks: []routing.Ack{http("a", nil), pubsub(1)}, err: &routing.AwayError{Network: "wan"}, away: true, text: "announced to 2 on other networks, but wan is away"},
		{acks: []routing.Ack{http("a", nil), http("b", errNo), pubsub(1)}, k: 1, of: 2, holders: 1, text: "announced to 1 of 2, 1 pubsub peer"},
		{acks: []routing.Ack{http("a", nil)}, err: &routing.AwayError{Network: "b", Road: routing.HTTP}, k: 1, of: 2, holders: 1, text: "announced to 1 of 2"},
		{err: &routing.AwayError{Network: "b", Road: routing.HTTP}, of: 1, away: true, text: "announced to nobody: b is away"},
		{acks: []routing.Ack{wan(1, nil)}, err: &routing.AwayError{Network: "b", Road: routing.HTTP}, k: 1, of: 20, holders: 1, text: "announced to 1 of 20"},
		{acks: []routing.Ack{pubsub(1), pubsub(2)}, k: 2, of: 3, holders: 2, text: "announced to 2 of 3"},
	} {
		var r routing.Receipt
		for _, a := range tc.acks {
			r.Add(a)
		}
		r.End(tc.err)
		if k, of := r.Announced(); k != tc.k || of != tc.of || r.Holders("") != tc.holders || r.Away() != tc.away || r.String() != tc.text {
			t.Errorf("%d of %d, %d hold it, away %v, %q; want %+v", k, of, r.Holders(""), r.Away(), r, tc)
		}
	}
}

// The first road of a combination of Routers counts.
func TestTheRoadOfACompositionIsTheFirstThatCounts(t *testing.T) {
	dht, http := routingtest.New(1), router("a", 0, 0, nil)
	pubsub := &routingtest.Network{On: routing.PubSub}
	for want, rs := range map[routing.Road][]routing.Router{
		routing.DHT:    {http, pubsub, dht},
		routing.HTTP:   {pubsub, http},
		routing.PubSub: {pubsub},
	} {
		for _, r := range []routing.Router{routing.Parallel(rs), routing.Tiered{Tiers: rs}, routing.Beside{Main: routing.Parallel(rs)}} {
			if got := routing.RoadOf(r); got != want {
				t.Errorf("%T of %v is measured on %q, want %q", r, rs, got, want)
			}
		}
	}
}
