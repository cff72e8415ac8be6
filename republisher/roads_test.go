package republisher_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// An HTTP router that is down makes no name one at risk: it gets the records when it is
// back, after a time like that for which it was down. One that is gone for good costs a
// few puts.
func TestAnHTTPRouterThatWasDownCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 30)
		h := routingtest.New(1)
		h.Name, h.On, h.Now = "h.example", routing.HTTP, s.Now
		h.Servers[0].Fault = routingtest.Dead
		s.Router = routing.Beside{Main: s.net, Others: []routing.Router{h}}
		rec := s.add(t, recordstoretest.KeyFromSeed(t, 1), ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V1V2, recordstore.Own)
		defer s.run(t)()
		time.Sleep(40 * time.Minute)
		if n := s.net.Holders(rec); n != 20 {
			t.Fatalf("%d servers hold the record", n)
		}
		if st := s.Status(); st.AtRiskCount != 0 || st.Holders != 20 {
			t.Errorf("%d at risk, %d hold it: %v", st.AtRiskCount, st.Holders, st.AtRisk)
		}
		if puts := s.net.Counts().Puts; puts < 2 || puts > 6 {
			t.Errorf("%d puts in 40 minutes in which a router was down", puts)
		}
		h.Servers[0].Become(routingtest.Honest)
		time.Sleep(50 * time.Minute)
		if h.Holders(rec) != 1 {
			t.Error("the router does not have the record 50 minutes after it is back")
		}
		before := s.net.Counts().Puts
		time.Sleep(2 * time.Hour)
		if after := s.net.Counts().Puts; after > before+1 {
			t.Errorf("%d puts of what all have", after-before)
		}
	})
}

// What only an HTTP router took is at risk, and does not replace what is known of the
// servers.
func TestWhatOnlyAnHTTPRouterTookIsAtRisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 30)
		h := routingtest.New(1)
		h.Name, h.On, h.Now = "h.example", routing.HTTP, s.Now
		for _, server := range s.net.Servers {
			server.Fault = routingtest.Refusing
		}
		s.Router = routing.Beside{Main: s.net, Others: []routing.Router{h}}
		rec := s.add(t, recordstoretest.KeyFromSeed(t, 1), ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V1V2, recordstore.Own)
		defer s.run(t)()
		time.Sleep(30 * time.Minute)
		if h.Holders(rec) != 1 {
			t.Fatal("the router does not hold the record")
		}
		if st := s.Status(); st.AtRiskCount != 1 || st.Holders != 0 {
			t.Errorf("%d at risk, %d hold it", st.AtRiskCount, st.Holders)
		}
	})
}

// Where HTTP is the only road, one of one router is enough.
func TestANameOnHTTPAloneIsNotAtRisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		h := routingtest.New(1)
		h.Name, h.On, h.Now = "h.example", routing.HTTP, s.Now
		s.Router = routing.Parallel{h}
		rec := s.add(t, recordstoretest.KeyFromSeed(t, 1), ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V1V2, recordstore.Own)
		defer s.run(t)()
		time.Sleep(time.Hour)
		if st := s.Status(); h.Holders(rec) != 1 || st.AtRiskCount != 0 || st.Holders != 1 {
			t.Errorf("%d at risk, %d hold it: %v", st.AtRiskCount, st.Holders, st.AtRisk)
		}
		before := h.Counts().Puts
		time.Sleep(3 * time.Hour)
		if after := h.Counts().Puts; after > before+1 {
			t.Errorf("%d puts in three hours", after-before)
		}
	})
}
