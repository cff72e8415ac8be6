package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

func signers(keys ...recordstoretest.Key) func(context.Context, ipns.Name) (ipns.Signer, error) {
	return func(_ context.Context, name ipns.Name) (ipns.Signer, error) {
		for _, k := range keys {
			if k.Name == name {
				return k.Signer, nil
			}
		}
		return nil, fmt.Errorf("no key of %s", name)
	}
}

// running is a publisher with Run, in virtual time that begins at epoch.
func running(t *testing.T, servers int, keys []recordstoretest.Key) (*site, func()) {
	t.Helper()
	s := newSite(t, servers)
	begin := time.Now()
	s.Now = func() time.Time { return epoch.Add(time.Since(begin)) }
	s.Book.Now, s.net.Now = s.Now, s.Now
	s.net.Opener = nil
	s.Signers = signers(append(keys, s.key)...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	return s, func() { cancel(); <-done }
}

// TestRepublish keeps a name alive for a month: the bytes change only when half of
// their life is over, and then in nothing but the EOL.
func TestRepublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, 20, nil)
		defer stop()
		res := s.publish(t, "/ipfs/bafkqaaa", func(r *publisher.Request) {
			r.TTL, r.Lifetime = 30*time.Second, 24*time.Hour
			r.Metadata = ipns.Metadata{"_note": "kept"}
			r.Form = ipns.V2Only
		})
		distinct := map[[32]byte]bool{}
		for range 30 * 24 {
			time.Sleep(time.Hour)
			e, err := s.Book.Get(t.Context(), s.key.Name)
			if err != nil {
				t.Fatal(err)
			}
			r := e.Record
			distinct[r.Hash()] = true
			if left := r.EOL().Sub(s.Now()); left < 8*time.Hour || left > 24*time.Hour {
				t.Fatalf("%v of its life left", left)
			}
			if r.Value() != "/ipfs/bafkqaaa" || r.Sequence() != res.Record.Sequence() || r.TTL() != 30*time.Second || r.Form() != ipns.V2Only || r.Metadata()["_note"] != "kept" {
				t.Fatalf("republishing changed the record: %v", r)
			}
			if n := s.net.Holders(r); n != 20 {
				t.Fatalf("%d of 20 hold the record", n)
			}
		}
		puts := s.net.Counts().Puts
		t.Logf("30 days: %d puts, %d renewals", puts, len(distinct)-1)
		if puts < 150 || puts > 220 || len(distinct) > 60 {
			t.Errorf("%d puts of %d records", puts, len(distinct))
		}
	})
}

// ailing is a network of which only two servers can be reached until it is healthy.
type ailing struct {
	*routingtest.Network
	healthy *atomic.Bool
}

func (a *ailing) Put(ctx context.Context, rec *ipns.Record) iter.Seq2[routing.Ack, error] {
	if a.healthy.Load() {
		return a.Network.Put(ctx, rec)
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
		s, stop := running(t, 20, nil)
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
		puts := s.net.Counts().Puts
		time.Sleep(time.Hour)
		if s.net.Counts().Puts != puts {
			t.Error("goes on announcing what enough hold")
		}
	})
}

// TestV3F4OneBadKeyDelaysNobody has names fail in every way at the same time.
func TestV3F4OneBadKeyDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []recordstoretest.Key
		for i := range 40 {
			keys = append(keys, recordstoretest.KeyFromSeed(t, uint64(i)))
		}
		s, stop := running(t, 20, keys)
		defer stop()
		good := s.Signers
		s.Signers = func(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
			switch name {
			case keys[0].Name:
				return nil, errors.New("key file is empty")
			case keys[1].Name:
				return keys[2].Signer, nil // the key of another name
			case keys[3].Name:
				<-ctx.Done() // hangs
				return nil, ctx.Err()
			}
			return good(ctx, name)
		}
		for _, k := range keys {
			if err := s.Book.Create(t.Context(), k.Name); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Publish(t.Context(), k.Signer, publisher.Request{Value: "/ipfs/bafkqaaa"}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(72 * time.Hour)
		for i, k := range keys {
			e, err := s.Book.Get(t.Context(), k.Name)
			if err != nil {
				t.Fatal(err)
			}
			bad := i == 0 || i == 1 || i == 3
			if e.Record.Expired(s.Now()) != bad {
				t.Errorf("name %d: EOL %v at %v", i, e.Record.EOL(), s.Now())
			}
			if !bad && e.Record.EOL().Sub(s.Now()) < 20*time.Hour {
				t.Errorf("name %d was delayed: EOL in %v", i, e.Record.EOL().Sub(s.Now()))
			}
			u, err := s.Book.Upkeep(t.Context(), k.Name)
			if err != nil || bad != (u.LastErr != "") {
				t.Errorf("name %d: noted %q, %v", i, u.LastErr, err)
			}
		}
	})
}

// TestNewerElsewhere learns from a refusal that somebody else publishes the name,
// and does not fight.
func TestNewerElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, 20, nil)
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
