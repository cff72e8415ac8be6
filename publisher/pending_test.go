package publisher_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// restart ends the process of a site and starts another on the same store. It returns
// how to end that one.
func (s *site) restart(t *testing.T) (stop func()) {
	t.Helper()
	over, end := context.WithCancel(t.Context())
	end()
	s.Close(over)
	s.Publisher = &publisher.Publisher{
		Book: s.Book, Router: s.net, Now: s.Now,
		Signers: func(context.Context, ipns.Name) (ipns.Signer, error) { return s.key.Signer, nil },
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	return func() { cancel(); <-done }
}

// A publish that has met a rival goes on to rise above it after a restart.
func TestARaiseGoesOnAfterARestart(t *testing.T) { // kind 2
	const life, ttl = 30 * time.Hour, 7 * time.Minute
	for what, end := range map[string]func(*testing.T, *site, *ipns.Record){
		"while it waits": func(t *testing.T, s *site, _ *ipns.Record) {
			go s.Publish(t.Context(), s.key.Signer, changed(mine+"/2", func(r *publisher.Request) {
				r.Lifetime, r.TTL, r.Metadata = new(time.Duration), new(time.Duration), ipns.Metadata{"_note": "kept"}
				*r.Lifetime, *r.TTL = life, ttl
			}))
			synctest.Wait() // it has met the rival, and waits to raise
			if e := s.entry(t); e.Record.Value() != theirs || e.Pending == nil {
				t.Fatalf("it does not wait: the Book has %v, pending %v", e.Record.Value(), e.Pending)
			}
		},
		"before the rival is stored": func(t *testing.T, s *site, _ *ipns.Record) {
			s.Router = nil
			res := s.publish(t, mine+"/2", func(r *publisher.Request) {
				r.Wait, r.Lifetime, r.TTL, r.Metadata = publisher.WaitStored, new(time.Duration), new(time.Duration), ipns.Metadata{"_note": "kept"}
				*r.Lifetime, *r.TTL = life, ttl
			})
			if err := s.Book.Pend(t.Context(), s.key.Name, res.Record); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 20)
				s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
				rival := s.key.Record(t, 5, theirs, epoch.Add(100*time.Hour))
				hold(s, rival, 20)
				end(t, s, rival)
				stop := s.restart(t)
				time.Sleep(10 * time.Second)
				e := s.entry(t)
				if rec := e.Record; rec.Value() != mine+"/2" || rec.Sequence() != 6 || rec.TTL() != ttl || rec.Metadata()["_note"] != "kept" || e.Span != life {
					t.Errorf("the name has %s with sequence %d, signed for %v", rec.Value(), rec.Sequence(), e.Span)
				}
				if n := s.net.Holders(e.Record); n != 20 || e.Pending != nil {
					t.Errorf("%d hold it, pending %v", n, e.Pending)
				}
				stop()
				defer s.restart(t)() // and nothing is left to do
				time.Sleep(10 * time.Second)
				if again := s.entry(t); again.Record.Hash() != e.Record.Hash() {
					t.Errorf("after another restart the name has %s with sequence %d", again.Record.Value(), again.Record.Sequence())
				}
			})
		})
	}
}

// One that has given way, that was replaced, or that was not to rise stays what it is.
func TestNothingElseIsRaisedAfterARestart(t *testing.T) {
	three := uint64(3)
	for what, begin := range map[string]func(*testing.T, *site) (value string){
		"gave way": func(t *testing.T, s *site) string {
			s.Router = &relentless{site: s}
			if _, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: mine + "/2"}); err == nil {
				t.Error("it did not give way")
			}
			return theirs
		},
		"names a sequence": func(t *testing.T, s *site) string {
			hold(s, s.key.Record(t, 5, theirs, epoch.Add(100*time.Hour)), 20)
			if _, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: mine + "/2", Sequence: &three}); err == nil {
				t.Error("it did not give way")
			}
			return theirs
		},
		"replaced": func(t *testing.T, s *site) string {
			hold(s, s.key.Record(t, 5, theirs, epoch.Add(100*time.Hour)), 20)
			go s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: mine + "/2"})
			synctest.Wait()
			s.publish(t, mine+"/3")
			return mine + "/3"
		},
		"the rival came after it": func(t *testing.T, s *site) string {
			s.publish(t, mine+"/2", func(r *publisher.Request) { r.Wait = publisher.WaitAll })
			rival := s.key.Record(t, 5, theirs, epoch.Add(100*time.Hour))
			hold(s, rival, 20)
			if _, err := s.Put(t.Context(), rival, publisher.PutRequest{}); err != nil {
				t.Error(err)
			}
			return theirs
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 20)
				s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
				value := begin(t, s)
				sequence := s.entry(t).Record.Sequence()
				defer s.restart(t)()
				time.Sleep(time.Minute)
				if e := s.entry(t); e.Record.Value() != value || e.Record.Sequence() != sequence || e.Pending != nil {
					t.Errorf("the name has %s with sequence %d, pending %v", e.Record.Value(), e.Record.Sequence(), e.Pending)
				}
			})
		})
	}
}

// TestASignerThatHangsDelaysNoOtherNameAtTheStart has a publish that is to rise above a rival, whose
// signer does not answer, and other names that are to be announced.
func TestASignerThatHangsDelaysNoOtherNameAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		s.Router = nil
		stored := func(r *publisher.Request) { r.Wait = publisher.WaitStored }
		res := s.publish(t, mine, stored)
		if err := s.Book.Pend(t.Context(), s.key.Name, res.Record); err != nil {
			t.Fatal(err)
		}
		var others []*ipns.Record
		for seed := range uint64(8) {
			k := recordstoretest.KeyFromSeed(t, 100+seed)
			if err := s.Book.Create(t.Context(), k.Name); err != nil {
				t.Fatal(err)
			}
			res, err := s.Publish(t.Context(), k.Signer, publisher.Request{Value: mine, Wait: publisher.WaitStored})
			if err != nil {
				t.Fatal(err)
			}
			others = append(others, res.Record)
		}
		over, end := context.WithCancel(t.Context())
		end()
		s.Close(over)
		s.Publisher = &publisher.Publisher{Book: s.Book, Router: s.net, Now: s.Now, Signers: func(ctx context.Context, _ ipns.Name) (ipns.Signer, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx) }()
		time.Sleep(10 * time.Second)
		for _, rec := range others {
			if n := s.net.Holders(rec); n != 20 {
				t.Errorf("%d hold another name", n)
			}
		}
		cancel()
		<-done
		if e := s.entry(t); e.Pending == nil {
			t.Error("what was to go on at the next start was given up")
		}
	})
}

// A copy of the store, or a backup, has a publish that was to rise above a rival. Since then
// the node has published again: the copy learns that, and gives the old value up. R5.
func TestACopyDoesNotRaiseWhatWasPendingThen(t *testing.T) {
	for _, newer := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, 20)
			s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
			res := s.publish(t, mine+"/2", func(r *publisher.Request) { r.Wait = publisher.WaitAll })
			if err := s.Book.Pend(t.Context(), s.key.Name, res.Record); err != nil {
				t.Fatal(err)
			}
			want := res.Record
			if newer {
				want = s.key.Record(t, 8, mine+"/3", epoch.Add(100*time.Hour))
				hold(s, want, 20)
			}
			s.store.Renew()
			defer s.restart(t)()
			time.Sleep(time.Minute)
			e := s.entry(t)
			if e.Pending != nil || e.Record.Value() != want.Value() || e.Record.Sequence() != want.Sequence() {
				t.Errorf("the Book has %s with sequence %d, pending %v", e.Record.Value(), e.Record.Sequence(), e.Pending)
			}
			if n := s.net.Holders(want); n != 20 {
				t.Errorf("%d hold %s", n, want.Value())
			}
		})
	}
}

// The daemon starts without its passphrase, or before the ssh-agent does. A publish that was to
// rise above a rival waits for the key, and is given up only if that is gone.
func TestARaiseWaitsForASignerThatIsAway(t *testing.T) {
	for _, gone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, 20)
			s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
			hold(s, s.key.Record(t, 5, theirs, epoch.Add(100*time.Hour)), 20)
			go s.Publish(t.Context(), s.key.Signer, changed(mine+"/2", func(*publisher.Request) {}))
			synctest.Wait() // it has met the rival, and waits to raise
			over, end := context.WithCancel(t.Context())
			end()
			s.Close(over)
			away := errors.New("locked")
			if gone {
				away = publisher.ErrNoSigner
			}
			begin, from := time.Now(), s.Now()
			now := func() time.Time { return from.Add(time.Since(begin)) }
			s.Publisher = &publisher.Publisher{Book: s.Book, Router: s.net, Now: now, Signers: func(context.Context, ipns.Name) (ipns.Signer, error) {
				if time.Since(begin) < 10*time.Minute {
					return nil, away
				}
				return s.key.Signer, nil
			}}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); s.Run(ctx) }()
			time.Sleep(20 * time.Minute)
			want := mine + "/2"
			if gone {
				want = theirs
			}
			if e := s.entry(t); e.Record.Value() != want || e.Pending != nil || s.net.Holders(e.Record) != 20 {
				t.Errorf("gone %v: the name has %s with sequence %d, pending %v", gone, e.Record.Value(), e.Record.Sequence(), e.Pending)
			}
			cancel()
			<-done
		})
	}
}
