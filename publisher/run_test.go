package publisher_test

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// running returns a publisher with Run and a republisher, in virtual time that starts at
// epoch.
func running(t *testing.T, servers int) (*site, func()) {
	t.Helper()
	s := newSite(t, servers)
	begin := time.Now()
	s.Now = func() time.Time { return epoch.Add(time.Since(begin)) }
	s.Book.Now, s.net.Now = s.Now, s.Now
	s.net.Opener = nil
	ctx, cancel := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	parts.Go(func() { s.Run(ctx) })
	parts.Go(func() { s.republisher().Run(ctx) })
	return s, func() { cancel(); parts.Wait() }
}

// republisher keeps the name of the site alive.
func (s *site) republisher() *republisher.Republisher {
	return &republisher.Republisher{
		Book: s.Book, Router: routed{s}, Now: s.Now,
		Signers: func(context.Context, ipns.Name) (ipns.Signer, error) { return s.key.Signer, nil },
	}
}

// routed is the current Router of the site.
type routed struct{ *site }

func (r routed) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	return r.Router.Put(ctx, rec, look)
}

func (r routed) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return r.Router.Search(ctx, name)
}

// ailing is a network of which only two servers can be reached until it is healthy.
type ailing struct {
	*routingtest.Network
	healthy *atomic.Bool
}

func (a *ailing) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	if a.healthy.Load() {
		return a.Network.Put(ctx, rec, look)
	}
	return func(yield func(routing.Ack, error) bool) {
		for i, s := range a.Network.Closest(rec.Name()) {
			ack := routing.Ack{Name: rec.Name(), Target: s.ID, Network: "wan", Of: 20, Err: errFault}
			if i < 2 {
				s.Hold(rec.Name(), rec.Raw())
				ack.Err = nil
			}
			if !yield(ack, nil) {
				return
			}
		}
	}
}

// TestRetry announces again a record with too few holders, and stops when it has enough.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, 20)
		defer stop()
		var healthy atomic.Bool
		s.Router = &ailing{s.net, &healthy}
		res := s.publish(t, "/ipfs/bafkqaaa")
		time.Sleep(30 * time.Minute)
		if n := s.net.Holders(res.Record); n != 2 {
			t.Fatalf("%d hold the record", n)
		}
		healthy.Store(true)
		healed := time.Now()
		for s.net.Holders(res.Record) < 15 {
			time.Sleep(time.Second)
			if time.Since(healed) > 10*time.Minute {
				t.Fatal("not announced again within 10 minutes")
			}
		}
		t.Logf("held by %d of 20 again after %v", s.net.Holders(res.Record), time.Since(healed))
		time.Sleep(time.Minute)
		// In a period of four hours the republisher announces the name once. Retries
		// would be at least 48.
		puts := s.net.Counts().Puts
		time.Sleep(4 * time.Hour)
		if n := s.net.Counts().Puts - puts; n > 20 {
			t.Errorf("announces again a record with enough holders: %d puts to 20 servers in a period", n)
		}
	})
}

// TestNewerElsewhere: a refusal shows that someone else publishes the name. The publisher
// takes the newer record and stops.
func TestNewerElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, 20)
		defer stop()
		s.publish(t, "/ipfs/bafkqaaa/mine")
		time.Sleep(time.Minute) // until the announcement, which would rise above it, is over
		theirs := s.key.Record(t, 5, "/ipfs/bafkqaaa/theirs", s.Now().Add(100*time.Hour))
		hold(s, theirs, 20)
		time.Sleep(5 * time.Hour)
		e, err := s.Book.Get(t.Context(), s.key.Name)
		if err != nil || e.Record.Hash() != theirs.Hash() || e.Origin != recordstore.Own {
			t.Fatalf("the Book has sequence %d, %v", e.Record.Sequence(), err)
		}
		next := s.publish(t, "/ipfs/bafkqaaa/mine again")
		if next.Record.Sequence() != 6 {
			t.Fatalf("next sequence %d", next.Record.Sequence())
		}
		if n := s.net.Holders(next.Record); n < 10 {
			t.Fatalf("%d hold it", n)
		}
	})
}

// TestResumeAsksAfterARestoration: after a restore, a record is announced only once the
// network was searched, and a newer one replaces it.
func TestResumeAsksAfterARestoration(t *testing.T) {
	for what, tt := range map[string]struct {
		newer  bool // one server has a newer record
		silent bool // too few answer
		want   string
	}{
		"others have nothing": {want: "/ipfs/bafkqaaa/mine"},
		"others have newer":   {newer: true, want: "/ipfs/bafkqaaa/theirs"},
		"others are silent":   {silent: true},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 20)
				begin := time.Now()
				s.Now = func() time.Time { return epoch.Add(time.Since(begin)) }
				s.Book.Now, s.net.Now = s.Now, s.Now
				s.net.Opener = nil
				s.Router = nil // offline
				mine, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa/mine", Wait: publisher.WaitStored})
				if err != nil {
					t.Fatal(err)
				}
				if tt.newer {
					hold(s, s.key.Record(t, 5, "/ipfs/bafkqaaa/theirs", s.Now().Add(100*time.Hour)), 1)
				}
				if tt.silent {
					for _, server := range s.net.Servers[:10] {
						server.Fault = routingtest.Dead
					}
				}
				s.store.Renew()
				s.Router = s.net
				ctx, cancel := context.WithCancel(t.Context())
				var parts sync.WaitGroup
				parts.Go(func() { s.Run(ctx) })
				time.Sleep(10 * time.Minute)
				cancel()
				parts.Wait()
				e, err := s.Book.Get(t.Context(), s.key.Name)
				if err != nil {
					t.Fatal(err)
				}
				switch mineHeld := s.net.Holders(mine.Record); {
				case tt.want == "" && (mineHeld > 0 || s.net.Counts().Puts > 0):
					t.Errorf("announced although too few answered")
				case tt.want == "" && s.net.Counts().Searches > 8:
					t.Errorf("%d searches in 10 minutes", s.net.Counts().Searches)
				case tt.newer && mineHeld > 0:
					t.Errorf("%d servers were given an older record than one has", mineHeld)
				case tt.want != "" && (e.Record.Value() != tt.want || s.net.Holders(e.Record) != 20):
					t.Errorf("%v is held by %d", e.Record, s.net.Holders(e.Record))
				}
			})
		})
	}
}
