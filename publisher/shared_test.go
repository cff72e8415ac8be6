package publisher_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// leaving is a store that cannot be read while away is set.
type leaving struct {
	*recordstore.Memory
	away atomic.Bool
}

func (l *leaving) Get(ctx context.Context, name ipns.Name) (recordstore.Entry, error) {
	if l.away.Load() {
		return recordstore.Entry{}, errFault
	}
	return l.Memory.Get(ctx, name)
}

// terse is a network whose servers do not say that they have something newer.
type terse struct{ *routingtest.Network }

func (r terse) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		for ack, err := range r.Network.Put(ctx, rec, look) {
			ack.Newer = nil
			if !yield(ack, err) {
				return
			}
		}
	}
}

// What another process that shares the store publishes is none of a rival, though servers
// hold it before an older publish of this process has reached them: the name keeps the
// newest value. R3.
func TestWhatAnotherDaemonPublishedLaterStays(t *testing.T) {
	for _, tt := range []struct {
		what  string
		later []string // what the other publishes meanwhile
		away  bool     // the store cannot be read when the servers answer
		terse bool     // servers only say what they held
	}{
		{what: "one publish", later: []string{theirs}},
		{what: "one publish, at servers that say less", later: []string{theirs}, terse: true},
		{what: "two publishes, the last of the same value", later: []string{theirs, mine + "/2"}},
		{what: "the store is away for a moment", later: []string{theirs}, away: true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 20)
				other := &publisher.Publisher{Book: &names.Book{Store: s.store, Now: s.Now}, Router: s.net, Now: s.Now}
				t.Cleanup(func() { other.Close(t.Context()) })
				s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
				store := &leaving{Memory: s.store}
				s.Book.Store, s.Book.Notes, s.Book.Marks = store, s.store, s.store
				if tt.terse {
					s.Router = terse{s.net}
				}
				var last publisher.Result
				s.SetStep(func(step string) error {
					if step != "announce" {
						return nil
					}
					for _, value := range tt.later {
						var err error
						last, err = other.Publish(t.Context(), s.key.Signer, publisher.Request{Value: value, Wait: publisher.WaitAll})
						if err != nil {
							t.Error(err)
						}
					}
					if tt.away {
						store.away.Store(true)
						time.AfterFunc(time.Millisecond, func() { store.away.Store(false) })
					}
					return nil
				})
				s.publish(t, mine+"/2", func(r *publisher.Request) { r.Wait = publisher.WaitStored })
				time.Sleep(time.Minute) // for a raise
				synctest.Wait()
				e := s.entry(t)
				if e.Record.Hash() != last.Record.Hash() || e.Rival != nil || e.Pending != nil {
					t.Errorf("the name has %s with sequence %d, rival %v, pending %v", e.Record.Value(), e.Record.Sequence(), e.Rival, e.Pending)
				}
				if n := s.net.Holders(last.Record); n != 20 {
					t.Errorf("%d servers hold it", n)
				}
			})
		})
	}
}

// Where several processes share a store, one that starts leaves to others what they are about
// to announce. A publish that was to rise above a rival when its process ended goes on in the
// one that looks after the name.
func TestWhoLooksAfterANameGoesOnWithItsPublish(t *testing.T) {
	for _, holds := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, 20)
			s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
			hold(s, s.key.Record(t, 5, theirs, epoch.Add(100*time.Hour)), 20)
			s.Router = nil
			res := s.publish(t, mine+"/2", func(r *publisher.Request) { r.Wait = publisher.WaitStored })
			if err := s.Book.Pend(t.Context(), s.key.Name, res.Record); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			s.Publisher = &publisher.Publisher{
				Book: s.Book, Router: s.net, Now: func() time.Time { return epoch.Add(time.Since(begin)) }, Resumes: func(ipns.Name) bool { return holds },
				Signers: func(context.Context, ipns.Name) (ipns.Signer, error) { return s.key.Signer, nil },
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); s.Run(ctx) }()
			defer func() { cancel(); <-done }()
			time.Sleep(9 * time.Minute)
			if e := s.entry(t); e.Pending == nil {
				t.Error("it goes on at once: its process may be alive")
			}
			time.Sleep(2 * time.Minute)
			if e := s.entry(t); (e.Pending == nil) != holds {
				t.Errorf("after 11 minutes, pending: %v", e.Pending)
			}
			time.Sleep(3 * time.Hour)
			if e := s.entry(t); e.Pending != nil || e.Record.Value() != mine+"/2" || e.Record.Sequence() != 6 {
				t.Errorf("it does not go on: %v, pending %v", e.Record, e.Pending)
			}
		})
	}
}
