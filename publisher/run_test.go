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
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// running is a publisher with Run, beside a republisher, in virtual time that
// begins at epoch.
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

// routed is the Router that the site has now.
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

// TestRetry announces again what too few hold, and stops when enough do.
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
		// In a period of four hours the republisher comes by once, at a time that
		// follows from the name. Retries would be at least 48.
		puts := s.net.Counts().Puts
		time.Sleep(4 * time.Hour)
		if n := s.net.Counts().Puts - puts; n > 20 {
			t.Errorf("goes on announcing what enough hold: %d puts to 20 servers in a period", n)
		}
	})
}

// TestNewerElsewhere learns from a refusal that somebody else publishes the name,
// and does not fight.
func TestNewerElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, 20)
		defer stop()
		s.publish(t, "/ipfs/bafkqaaa/mine")
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
