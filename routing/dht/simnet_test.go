package dht_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/internal/simnet"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

// simulation is a node on a simulated network.
type simulation struct {
	t      *testing.T
	net    *simnet.Network
	host   host.Host
	kad    *kaddht.IpfsDHT
	router *dht.Router
	log    strings.Builder // warnings of the routers
}

// simulate runs f with a node that has joined a network with the given number of servers,
// in virtual time.
func simulate(t *testing.T, servers int, profile simnet.Profile, f func(*simulation)) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{t: t, net: simnet.New(simnet.Config{Servers: servers, Profile: profile, Seed: 1})}
		defer s.net.Close()
		var err error
		if s.host, err = s.net.NewHost("client"); err != nil {
			t.Fatal(err)
		}
		bootstrap := s.net.Bootstrap(6)
		for _, p := range bootstrap {
			if err := s.host.Connect(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		s.kad, err = kaddht.New(s.host,
			kaddht.Mode(kaddht.ModeClient),
			kaddht.ProtocolPrefix("/goipns"),
			kaddht.V1ProtocolOverride(dht.ProtocolWAN),
			kaddht.Validator(dht.Validator(nil)),
			kaddht.BootstrapPeers(bootstrap...))
		if err != nil {
			t.Fatal(err)
		}
		defer s.kad.Close()
		for range 3 {
			time.Sleep(time.Second)
			<-s.kad.ForceRefresh()
		}
		time.Sleep(30 * time.Second)
		s.forget()
		defer func() { s.router.Close() }()
		f(s)
	})
}

// upTo is n, and under -short a part of it.
func upTo(n, short int) int {
	if testing.Short() {
		return short
	}
	return n
}

// forget gives the node a new Router with an empty map.
func (s *simulation) forget() {
	if s.router != nil {
		s.router.Close()
	}
	s.router = dht.NewRouter(s.kad, dht.RouterConfig{Network: "wan", Log: slog.New(slog.NewTextHandler(&s.log, nil))})
}

// explore explores the whole network.
func (s *simulation) explore() dht.Exploration {
	s.t.Helper()
	e, err := s.router.Explore(s.t.Context(), keyspace.Region{}, 256)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

func (s *simulation) put(rec *ipns.Record) (took int) {
	s.t.Helper()
	for ack, err := range s.router.Put(s.t.Context(), rec, routing.Look{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		if ack.Err == nil {
			took++
		}
	}
	return took
}

// search searches until count servers have returned the record, or to the end. It returns
// how many did, and the final error.
func (s *simulation) search(rec *ipns.Record, count int) (agree int, err error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for answer, err := range s.router.Search(ctx, rec.Name()) {
		if err != nil {
			return agree, err
		}
		if answer.Record != nil && ipns.Compare(answer.Record, rec) == 0 {
			if agree++; agree == count {
				break
			}
		}
	}
	return agree, nil
}

// holders counts the servers that hold the record.
func (s *simulation) holders(rec *ipns.Record, servers []peer.AddrInfo) (n int) {
	for _, p := range servers {
		if slices.Equal(s.net.Held(p.ID, rec.Name().RoutingKey()), rec.Raw()) {
			n++
		}
	}
	return n
}

func TestSimulatedPutAndSearch(t *testing.T) {
	servers := upTo(2000, 1000)
	simulate(t, servers, simnet.Real15, func(s *simulation) {
		for i, state := range []string{"empty", "explored"} {
			s.forget()
			if state == "explored" {
				e := s.explore()
				t.Logf("exploring %d servers: %d requests, %d servers", servers, e.Requests, e.Servers)
				if e.Servers < s.net.Alive()*99/100 || e.Requests > servers {
					t.Errorf("%d requests found %d of %d servers alive", e.Requests, e.Servers, s.net.Alive())
				}
			}
			rec := newSigner(t, ipns.Ed25519).record(uint64(i), time.Now().Add(24*time.Hour))
			took := s.put(rec)
			held := s.holders(rec, s.net.Closest(rec.Name().RoutingKey(), 20))
			if took < 20 || held < 19 {
				t.Errorf("map %s: %d took the record, %d of the closest 20 hold it", state, took, held)
			}
			if agree, err := s.search(rec, 1000); agree < 16 || err != nil {
				t.Errorf("map %s: %d servers answered with the record: %v", state, agree, err)
			}
		}
		if s.log.Len() > 0 {
			t.Errorf("warnings of an honest network: %s", s.log.String())
		}
	})
}

// A search updates servers that have an older record or none.
func TestSimulatedCorrection(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		k := newSigner(t, ipns.Ed25519)
		older, newer := k.record(1, time.Now().Add(time.Hour)), k.record(2, time.Now().Add(time.Hour))
		s.net.Place(older, 12)
		s.net.Place(newer, 3)
		if agree, err := s.search(newer, 1000); agree != 3 || err != nil {
			t.Errorf("%d servers answered with the newer record: %v", agree, err)
		}
		if held := s.holders(newer, s.net.Closest(k.name.RoutingKey(), 20)); held != 20 {
			t.Errorf("%d of the closest 20 hold the newer record after a search, want all", held)
		}
	})
}

// Not found, unknown and failed are different results.
func TestSimulatedNotFoundAndUnknown(t *testing.T) {
	simulate(t, 500, simnet.Real15, func(s *simulation) {
		rec := newSigner(t, ipns.Ed25519).record(1, time.Now().Add(time.Hour))
		if agree, err := s.search(rec, 1); agree != 0 || err != nil {
			t.Errorf("a name that does not exist: %d answers, %v", agree, err)
		}
		var incomplete *routing.IncompleteError
		ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Millisecond)
		defer cancel()
		for _, err := range s.router.Search(ctx, rec.Name()) {
			if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &incomplete) {
				t.Errorf("a search that was cut short: %v", err)
			}
		}
		for _, p := range s.net.Closest(rec.Name().RoutingKey(), 1000) {
			s.net.Behave(p.ID, simnet.Dead)
		}
		if _, err := s.search(rec, 1); !errors.As(err, &incomplete) {
			t.Errorf("a network that has gone: %v, want an IncompleteError", err)
		}
	})
}

// Attackers with ids closer to a name than any honest server acknowledge records without
// storing them, have no records, and name only each other.
func TestSimulatedEclipse(t *testing.T) {
	for _, attackers := range []int{20, 60} {
		names := upTo(4, 2)
		held, found := 0, 0
		simulate(t, 1000, simnet.Real15, func(s *simulation) {
			for i := range names {
				rec := seededSigner(t, byte(i)).record(uint64(i), time.Now().Add(24*time.Hour))
				key := rec.Name().RoutingKey()
				s.net.Eclipse(key, attackers)
				s.log.Reset()
				s.forget()
				s.put(rec)
				held += s.holders(rec, s.net.Closest(key, attackers+20)[attackers:])
				s.forget()
				if agree, _ := s.search(rec, 1); agree > 0 {
					found++
				}
				if !strings.Contains(s.log.String(), "too many servers are close") {
					t.Error("there was no warning")
				}
			}
		})
		t.Logf("%d attackers around each name: %.1f of the 20 closest honest servers hold the record, %d of %d names are found",
			attackers, float64(held)/float64(names), found, names)
		if held < 16*names || found < names {
			t.Errorf("eclipsed: %d of %d copies, %d of %d names found", held, 20*names, found, names)
		}
	}
}

// Liars name servers that do not exist, corrupt records, and acknowledge records without
// storing them.
func TestSimulatedLiars(t *testing.T) {
	profile := simnet.Real15
	profile.Lying = 0.2
	simulate(t, 2000, profile, func(s *simulation) {
		names := upTo(10, 4)
		found, held := 0, 0
		start := time.Now()
		for i := range names {
			rec := seededSigner(t, byte(i)).record(uint64(i), time.Now().Add(24*time.Hour))
			s.forget()
			s.put(rec)
			held += s.holders(rec, s.net.Closest(rec.Name().RoutingKey(), 20))
			s.forget()
			if agree, _ := s.search(rec, 3); agree == 3 {
				found++
			}
		}
		t.Logf("one server in five lies: %.1f copies on the closest 20, of which 16 are honest; %d of %d names are found; %v a name",
			float64(held)/float64(names), found, names, (time.Since(start) / time.Duration(names)).Round(time.Millisecond))
		if held < 13*names || found < names {
			t.Errorf("%d copies, %d of %d names found", held, found, names)
		}
	})
}
